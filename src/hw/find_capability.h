#pragma once

#include <cstdint>
#include <optional>

#include "hw/pci_function.h"

namespace teeio::hw {

// Capability ids. Source: PCI Code and ID Assignment Specification 2 and 3.
inline constexpr std::uint8_t kCapabilityPcie = 0x10;
inline constexpr std::uint16_t kExtendedPasid = 0x1b;
inline constexpr std::uint16_t kExtendedIde = 0x30;
inline constexpr std::uint16_t kExtendedDoe = 0x2e;

/// Walks a function's capability list through config reads, as an operating
/// system does; nullopt when the id is not there or the list is malformed.
[[nodiscard]] std::optional<std::uint16_t> find_capability(PciFunction& function, std::uint8_t id);
[[nodiscard]] std::optional<std::uint16_t> find_extended_capability(PciFunction& function,
                                                                    std::uint16_t id);
/// Header type 1.
[[nodiscard]] bool is_bridge(PciFunction& function);

}  // namespace teeio::hw
