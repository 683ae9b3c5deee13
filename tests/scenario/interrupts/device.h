#pragma once

// What the programs here share: the card, and a sentence where something does not hold.

#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

inline int device = -1;

inline void check(bool holds, const char* what) {
  if (holds) return;
  std::perror(what);
  std::exit(1);
}

/// Opened, bound to an iommufd, its memory enabled.
inline void open_device() {
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
}

inline void write_register(std::uint64_t at, std::uint32_t value) {
  check(pwrite(device, &value, sizeof(value), static_cast<off_t>(at)) == sizeof(value), "register");
}

inline bool sets_intx(std::uint32_t flags, std::int32_t fd) {
  struct {  // vfio_irq_set, and its data
    std::uint32_t argsz, flags, index, start, count;
    std::int32_t fd;
  } arg{sizeof(arg), flags, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, fd};
  return ioctl(device, VFIO_DEVICE_SET_IRQS, &arg) == 0;
}
inline void set_intx(std::uint32_t flags, std::int32_t fd) {
  check(sets_intx(flags, fd), "VFIO_DEVICE_SET_IRQS");
}
