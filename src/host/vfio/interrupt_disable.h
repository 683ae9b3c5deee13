#pragma once

#include "host/vfio/pci_registers.h"
#include "hw/pci_function.h"

namespace teeio::vfio {

/// pci_intx(): the function's own Interrupt Disable, of a function that has a pin; one without
/// has nothing to disable.
inline void set_interrupt_disable(hw::PciFunction& function, bool disabled) {
  if (function.config_read(kInterruptPin, 1) == 0) return;
  const std::uint32_t now = function.config_read(kCommand, 2);
  const std::uint32_t wanted = disabled ? now | kCommandIntxDisable : now & ~kCommandIntxDisable;
  if (wanted != now) function.config_write(kCommand, 2, wanted);
}

}  // namespace teeio::vfio
