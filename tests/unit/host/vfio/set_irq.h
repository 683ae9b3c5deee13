#pragma once

#include <linux/vfio.h>

#include <cstdint>

#include "base/result.h"

namespace teeio::vfio::test {

/// VFIO_DEVICE_SET_IRQS of the first interrupt of `index`, by a program of any kind of test.
/// `fd` counts with DATA_EVENTFD.
template <class Vmm>
Result<void> set_irq(Vmm& vmm, std::uint32_t flags, std::uint32_t index, std::int32_t fd = 0) {
  struct {
    std::uint32_t argsz, flags, index, start, count;
    std::int32_t fd;
  } arg{sizeof(arg), flags, index, 0, 1, fd};
  TEEIO_TRY(vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, arg));
  return {};
}

}  // namespace teeio::vfio::test
