#pragma once

#include <cstdint>
#include <expected>

#include "hw/physical_memory.h"
#include "hw/smmu/formats.h"

namespace teeio::hw::smmu {

// Stage-2 descriptors. Source: Arm ARM (DDI 0487), D8.3.
inline constexpr std::uint64_t kValid = 1;
inline constexpr std::uint64_t kTableOrPage = 1U << 1U;
inline constexpr std::uint64_t kS2Read = 1U << 6U;
inline constexpr std::uint64_t kS2Write = 1U << 7U;
inline constexpr std::uint64_t kAccessFlag = 1U << 10U;
/// Of a realm's tables: the output address is the Non-secure world's (D8.3.2, FEAT_RME).
inline constexpr std::uint64_t kNonSecure = 1ULL << 55U;

/// What a walk ends in.
struct Stage2Leaf {
  Hpa address;          ///< of the block or page
  std::uint64_t bytes;  ///< its size
  bool read = false, write = false;
  bool shared = false;  ///< the Non-secure world's
};

/// Walks tables that start at level 1, from memory, entry by entry; keeps nothing.
[[nodiscard]] std::expected<Stage2Leaf, Event> walk_stage2(PhysicalMemory& memory, KeyId key,
                                                           Hpa table, std::uint8_t ia_bits,
                                                           Iova ipa);

}  // namespace teeio::hw::smmu
