// An eventfd rings a card's doorbell: VFIO_DEVICE_IOEVENTFD in a real process, whose signal the
// supervisor sees without a call. The engine has no ring, fails, and says so by INTx.

#include <sys/eventfd.h>

#include <cerrno>
#include <cstdint>

#include "device.h"

namespace {

int ioeventfd(std::uint64_t at, std::uint32_t value, int fd) {
  vfio_device_ioeventfd arg{};
  arg.argsz = sizeof(arg);
  arg.flags = VFIO_DEVICE_IOEVENTFD_32;
  arg.offset = at;
  arg.data = value;
  arg.fd = fd;
  return ioctl(device, VFIO_DEVICE_IOEVENTFD, &arg);
}

}  // namespace

int main() {
  constexpr std::uint64_t kControl = 0x08, kDoorbell = 0x24, kInterruptStatus = 0x38;
  open_device();

  const int trigger = eventfd(0, 0), doorbell = eventfd(0, 0);
  set_intx(VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, trigger);
  check(ioeventfd(kDoorbell, 1, doorbell) == 0, "VFIO_DEVICE_IOEVENTFD");
  check(ioeventfd(kDoorbell, 1, doorbell) == -1 && errno == EEXIST, "a second one");
  for (int i = 0; i < 100; ++i) {
    write_register(kControl, 2);
    write_register(kControl, 1);
    check(eventfd_write(doorbell, 1) == 0, "eventfd_write");
    eventfd_t count = 0;
    check(eventfd_read(trigger, &count) == 0 && count == 1, "the doorbell's interrupt");
    write_register(kInterruptStatus, ~0U);
    set_intx(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, 0);
  }
  check(ioeventfd(kDoorbell, 1, -1) == 0, "its end");
  check(ioeventfd(kDoorbell, 1, -1) == -1 && errno == ENODEV, "its second end");
  std::puts("ok");
  return 0;
}
