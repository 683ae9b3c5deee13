#pragma once

#include <cstdint>
#include <span>

#include "hw/pci_function.h"

namespace teeio::vfio {

/// Bits of a register that are not as the device has them.
struct ConfigField {
  std::uint16_t offset;
  std::uint8_t size;
  std::uint32_t kept;      ///< read from, and written to, the program's own copy
  std::uint32_t writable;  ///< the rest of a write is dropped
};

/// What a program may do with one kind of capability, and with the header.
struct ConfigRule {
  enum class Writes : std::uint8_t {
    kNone,    ///< dropped
    kFields,  ///< as `fields` say
    kRaw,     ///< go to the device as they are
  };
  /// Who looks at a write besides.
  enum class Owner : std::uint8_t {
    kNobody,
    kHeader,
    kPowerManagement,
    kMsi,
    kExpress,
    kAdvancedFeatures
  };
  Writes writes = Writes::kNone;
  Owner owner = Owner::kNobody;
  std::span<const ConfigField> fields = {};
};

// Source: Linux drivers/vfio/pci/vfio_pci_config.c, pci_cap_length[], cap_perms[],
// vfio_cap_len() and their counterparts for extended capabilities.

/// The first 64 bytes.
[[nodiscard]] ConfigRule header_rule();
/// What a program sees of capability `id` at `at`: how many bytes; 0 when it is hidden.
[[nodiscard]] unsigned visible_bytes(hw::PciFunction& function, std::uint8_t id, std::uint16_t at);
[[nodiscard]] unsigned visible_extended_bytes(hw::PciFunction& function, std::uint16_t id,
                                              std::uint16_t at);
/// `flags`: MSI's Message Control.
[[nodiscard]] ConfigRule capability_rule(std::uint8_t id, std::uint32_t flags);
[[nodiscard]] ConfigRule extended_rule(std::uint16_t id);

}  // namespace teeio::vfio
