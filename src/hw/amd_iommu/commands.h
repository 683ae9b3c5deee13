#pragma once

#include <cstdint>
#include <optional>

#include "base/types.h"
#include "hw/amd_iommu/registers.h"

namespace teeio::hw::amd {

/// A command of the command buffer, decoded. Source: specification 2.4.
struct DecodedCommand {
  Command opcode{};
  std::uint16_t requester = 0;              ///< kInvalidateDevtabEntry, kInvalidateIotlbPages
  std::uint16_t domain = 0;                 ///< kInvalidateIommuPages
  Iova first{0}, last{0};                   ///< kInvalidateIommuPages
  bool stores = false, interrupts = false;  ///< kCompletionWait
  Hpa store_at{0};
  std::uint64_t data = 0;
};

/// nullopt: ILLEGAL_COMMAND_ERROR, an opcode that this IOMMU has not or a reserved bit.
[[nodiscard]] std::optional<DecodedCommand> decode_command(std::uint64_t low, std::uint64_t high);

}  // namespace teeio::hw::amd
