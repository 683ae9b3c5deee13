#include "host/vfio/saved_config.h"

#include "host/vfio/pci_registers.h"
#include "host/vfio/write_back.h"
#include "hw/find_capability.h"
#include "hw/pasid_capability.h"

namespace teeio::vfio {
namespace {

/// Device Control and Device Control 2; of a function without PCI Express none. Source: Linux
/// drivers/pci/pci.c, pci_save_pcie_state(), of which no other register is the program's.
std::vector<std::uint16_t> controls(hw::PciFunction& function) {
  const auto express = hw::find_capability(function, hw::kCapabilityPcie);
  if (!express) return {};
  return {static_cast<std::uint16_t>(*express + kPcieDeviceControl),
          static_cast<std::uint16_t>(*express + kPcieDeviceControl2)};
}

}  // namespace

SavedConfig::SavedConfig(hw::PciFunction& function) : pasids_(hw::pasid_enabled(function)) {
  for (std::uint16_t at = kCommand; at < kHeaderBytes; at = static_cast<std::uint16_t>(at + 4))
    header_.push_back(function.config_read(at, 4));
  for (const std::uint16_t at : controls(function))
    controls_.emplace_back(at, function.config_read(at, 2));
}

void SavedConfig::restore(hw::PciFunction& function) const {
  if (header_.empty()) return;
  for (std::size_t i = 1; i < header_.size(); ++i)
    write_back(function, static_cast<std::uint16_t>(kCommand + 4 * i), 4, header_[i]);
  for (const auto& [at, value] : controls_) write_back(function, at, 2, value);
  write_back(function, kCommand, 2, header_[0] & 0xffffU);
  if (pasids_) hw::enable_pasid(function);
}

}  // namespace teeio::vfio
