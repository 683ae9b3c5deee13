// INTx with an eventfd that unmasks it, as a VMM gives it to KVM (KVM_IRQFD_FLAG_RESAMPLE): the
// program waits for the interrupt, signals the eventfd, and waits again. A real process: the
// eventfds are the kernel's. Leaves with 0, or says what was wrong; a lost interrupt hangs.
#include <sys/eventfd.h>

#include <cerrno>
#include <cstdint>

#include "device.h"

namespace {

/// A doorbell without a ring: the engine fails, and says so.
void make_error() {
  write_register(0x08, 2);
  write_register(0x08, 1);
  write_register(0x24, 1);
}

void wait_for(int event) {
  eventfd_t count = 0;
  check(eventfd_read(event, &count) == 0 && count == 1, "one interrupt");
}

constexpr std::uint32_t kUnmask = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK;

void signal_to(int event) { check(eventfd_write(event, 1) == 0, "eventfd_write"); }

}  // namespace

int main() {
  open_device();

  const int trigger = eventfd(0, 0), resample = eventfd(0, 0);
  set_intx(VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, trigger);
  set_intx(kUnmask, resample);
  make_error();
  wait_for(trigger);
  for (int i = 0; i < 100; ++i) {  // nobody tells the engine: the level stays up
    signal_to(resample);
    wait_for(trigger);
  }
  for (int i = 0; i < 100; ++i) {
    write_register(0x38, ~0U);
    signal_to(resample);
    make_error();
    wait_for(trigger);
  }
  set_intx(kUnmask, -1);
  signal_to(resample);
  eventfd_t count = 0;
  check(eventfd_read(resample, &count) == 0 && count == 1, "the eventfd is the program's again");

  // As drivers/vfio/virqfd.c has it; the level is up still.
  signal_to(resample);
  set_intx(kUnmask, resample);
  wait_for(trigger);
  check(eventfd_read(resample, &count) == 0 && count == 1, "what waited is the program's");
  const int copy = dup(resample), many = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
  close(resample);
  check(!sets_intx(kUnmask, many) && errno == EBUSY, "a duplicate is left");
  close(copy);
  set_intx(kUnmask, many);
  check(eventfd_write(many, 3) == 0, "eventfd_write");
  wait_for(trigger);
  for (int left = 2; left != 0; --left) check(eventfd_read(many, &count) == 0, "a count was taken");
  check(eventfd_read(many, &count) != 0 && errno == EAGAIN, "no count was taken");
  return 0;
}
