#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "hw/pci_function.h"

namespace teeio::vfio {

/// What software has programmed into a function and a reset loses: the header, Device Control
/// and Device Control 2, PASIDs. Source: Linux drivers/pci/pci.c, pci_save_state(),
/// pci_restore_state().
class SavedConfig {
 public:
  SavedConfig() = default;
  explicit SavedConfig(hw::PciFunction& function);
  /// Writes back what differs: BARs before the command register, which switches them on.
  void restore(hw::PciFunction& function) const;

 private:
  std::vector<std::uint32_t> header_;
  std::vector<std::pair<std::uint16_t, std::uint32_t>> controls_;  ///< where, and what
  bool pasids_ = false;
};

}  // namespace teeio::vfio
