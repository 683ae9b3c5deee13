#pragma once

#include <cstdint>
#include <vector>

#include "hw/pci_function.h"

namespace teeio::vfio {

/// What software has programmed into a function and a reset loses: the header, Device Control,
/// PASIDs. Source: Linux drivers/pci/pci.c, pci_save_state(), pci_restore_state().
class SavedConfig {
 public:
  SavedConfig() = default;
  explicit SavedConfig(hw::PciFunction& function);
  /// Writes back what differs: BARs before the command register, which switches them on.
  void restore(hw::PciFunction& function) const;

 private:
  std::vector<std::uint32_t> header_;
  std::uint32_t device_control_ = 0;
  bool pasids_ = false;
};

}  // namespace teeio::vfio
