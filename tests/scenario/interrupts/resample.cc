// INTx with an eventfd that unmasks it, as a VMM gives it to KVM (KVM_IRQFD_FLAG_RESAMPLE): the
// program waits for the interrupt, signals the eventfd, and waits again. A real process: the
// eventfds are the kernel's. Leaves with 0, or says what was wrong; a lost interrupt hangs.
#include <errno.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdint>

namespace {

void check(bool holds, const char* what) {
  if (holds) return;
  perror(what);
  exit(1);
}

int device;

bool is_set(std::uint32_t flags, std::int32_t fd) {
  struct {  // vfio_irq_set, and its data
    std::uint32_t argsz, flags, index, start, count;
    std::int32_t fd;
  } arg{sizeof(arg), flags, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, fd};
  return ioctl(device, VFIO_DEVICE_SET_IRQS, &arg) == 0;
}
void set(std::uint32_t flags, std::int32_t fd) { check(is_set(flags, fd), "VFIO_DEVICE_SET_IRQS"); }

void write_register(std::uint64_t at, std::uint32_t value) {
  check(pwrite(device, &value, sizeof(value), static_cast<off_t>(at)) == sizeof(value), "register");
}

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
  const int iommufd = open("/dev/iommu", O_RDWR);
  device = open("/dev/vfio/devices/vfio0", O_RDWR);
  check(iommufd >= 0 && device >= 0, "open");
  vfio_device_bind_iommufd bind{};
  bind.argsz = sizeof(bind);
  bind.iommufd = iommufd;
  check(ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind) == 0, "VFIO_DEVICE_BIND_IOMMUFD");
  constexpr std::uint64_t kCommand = (std::uint64_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40U) + 4;
  const std::uint16_t memory = 2;
  check(pwrite(device, &memory, sizeof(memory), kCommand) == sizeof(memory), "command register");

  const int trigger = eventfd(0, 0), resample = eventfd(0, 0);
  set(VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, trigger);
  set(kUnmask, resample);
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
  set(kUnmask, -1);
  signal_to(resample);
  eventfd_t count = 0;
  check(eventfd_read(resample, &count) == 0 && count == 1, "the eventfd is the program's again");

  // As drivers/vfio/virqfd.c has it; the level is up still.
  signal_to(resample);
  set(kUnmask, resample);
  wait_for(trigger);
  check(eventfd_read(resample, &count) == 0 && count == 1, "what waited is the program's");
  const int copy = dup(resample), many = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
  close(resample);
  check(!is_set(kUnmask, many) && errno == EBUSY, "a duplicate is left");
  close(copy);
  set(kUnmask, many);
  check(eventfd_write(many, 3) == 0, "eventfd_write");
  wait_for(trigger);
  for (int left = 2; left != 0; --left) check(eventfd_read(many, &count) == 0, "a count was taken");
  check(eventfd_read(many, &count) != 0 && errno == EAGAIN, "no count was taken");
  return 0;
}
