// An eventfd rings a card's doorbell: VFIO_DEVICE_IOEVENTFD in a real process, whose signal the
// supervisor sees without a call. The engine has no ring, fails, and says so by INTx.

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

int device = -1;

void check(bool holds, const char* what) {
  if (holds) return;
  std::perror(what);
  std::exit(1);
}

void write_register(std::uint64_t at, std::uint32_t value) {
  check(pwrite(device, &value, sizeof(value), static_cast<off_t>(at)) == sizeof(value), "register");
}

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

  const int trigger = eventfd(0, 0), doorbell = eventfd(0, 0);
  struct {
    std::uint32_t argsz, flags, index, start, count;
    std::int32_t fd;
  } irq{sizeof(irq),
        VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
        VFIO_PCI_INTX_IRQ_INDEX,
        0,
        1,
        trigger};
  check(ioctl(device, VFIO_DEVICE_SET_IRQS, &irq) == 0, "VFIO_DEVICE_SET_IRQS");
  check(ioeventfd(kDoorbell, 1, doorbell) == 0, "VFIO_DEVICE_IOEVENTFD");
  check(ioeventfd(kDoorbell, 1, doorbell) == -1 && errno == EEXIST, "a second one");
  for (int i = 0; i < 100; ++i) {
    write_register(kControl, 2);
    write_register(kControl, 1);
    check(eventfd_write(doorbell, 1) == 0, "eventfd_write");
    eventfd_t count = 0;
    check(eventfd_read(trigger, &count) == 0 && count == 1, "the doorbell's interrupt");
    write_register(kInterruptStatus, ~0U);
    irq.argsz = sizeof(irq) - sizeof(irq.fd);
    irq.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK;
    check(ioctl(device, VFIO_DEVICE_SET_IRQS, &irq) == 0, "unmask");
  }
  check(ioeventfd(kDoorbell, 1, -1) == 0, "its end");
  check(ioeventfd(kDoorbell, 1, -1) == -1 && errno == ENODEV, "its second end");
  std::puts("ok");
  return 0;
}
