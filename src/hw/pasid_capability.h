#pragma once

#include <cstdint>

#include "hw/config_space.h"
#include "hw/pci_function.h"

namespace teeio::hw {

// The PASID extended capability. Source: PCIe Base Spec 7.8.9; a VF has its PF's (9.3.7.14).

/// Adds one whose PASIDs have `width` bits (1-20), without execute and privileged mode, not
/// enabled. Gives its offset.
std::uint16_t add_pasid_capability(ConfigSpace& config, unsigned width);
/// Whether the capability at `offset` is enabled.
[[nodiscard]] bool pasid_enabled(const ConfigSpace& config, std::uint16_t offset);
/// As a reset of any kind leaves it.
void disable_pasid(ConfigSpace& config, std::uint16_t offset);

// Of a function as the host's software sees it; a VF's are its PF's.

/// pci_max_pasids(), as bits: 0 without.
[[nodiscard]] unsigned pasid_width(PciFunction& function);
/// pci_enable_pasid(), and pci_restore_pasid_state() after a reset. Nothing without the
/// capability, and nothing of a VF.
void enable_pasid(PciFunction& function);
/// Whether a function has one of its own, not its PF's, and it is enabled now.
[[nodiscard]] bool pasid_enabled(PciFunction& function);

}  // namespace teeio::hw
