#include "host/vfio/saved_config.h"

#include "host/vfio/pci_registers.h"
#include "host/vfio/write_back.h"
#include "hw/find_capability.h"
#include "hw/pasid_capability.h"

namespace teeio::vfio {
namespace {

/// Of a function without PCI Express: 0.
std::uint16_t device_control(hw::PciFunction& function) {
  const auto express = hw::find_capability(function, hw::kCapabilityPcie);
  return express ? static_cast<std::uint16_t>(*express + kPcieDeviceControl) : std::uint16_t{0};
}

}  // namespace

SavedConfig::SavedConfig(hw::PciFunction& function) : pasids_(hw::pasid_enabled(function)) {
  for (std::uint16_t at = kCommand; at < kHeaderBytes; at = static_cast<std::uint16_t>(at + 4))
    header_.push_back(function.config_read(at, 4));
  if (const std::uint16_t at = device_control(function); at != 0)
    device_control_ = function.config_read(at, 2);
}

void SavedConfig::restore(hw::PciFunction& function) const {
  if (header_.empty()) return;
  for (std::size_t i = 1; i < header_.size(); ++i)
    write_back(function, static_cast<std::uint16_t>(kCommand + 4 * i), 4, header_[i]);
  if (const std::uint16_t at = device_control(function); at != 0)
    write_back(function, at, 2, device_control_);
  write_back(function, kCommand, 2, header_[0] & 0xffffU);
  if (pasids_) hw::enable_pasid(function);
}

}  // namespace teeio::vfio
