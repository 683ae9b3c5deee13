#pragma once

#include <array>
#include <cstdint>

#include "base/types.h"

namespace teeio::hw::smmu {

// Arm IHI 0070: 5.1 and 5.2 (stream table), 4.1 (commands), 7.3 (events). Only what is
// looked at here.

inline constexpr std::uint64_t kAddressBits = 0x000f'ffff'ffff'f000;

/// Entries of a level-2 table: SPLIT 6.
inline constexpr unsigned kSplit = 6;
inline constexpr std::uint64_t kTableEntries = std::uint64_t{1} << kSplit;
inline constexpr std::uint64_t kSteBytes = 64;

/// A level-1 descriptor; 0 is one without table.
[[nodiscard]] constexpr std::uint64_t level1(Hpa table) {
  constexpr std::uint64_t kSpan = kSplit + 1;
  return raw(table) | kSpan;
}

/// A stream table entry that translates in stage 2 alone.
struct Ste {
  bool valid = false;
  std::uint16_t vmid = 0;
  Hpa table{0};               ///< S2TTB
  std::uint8_t ia_bits = 39;  ///< 64 − S2T0SZ; walks start at level 1

  [[nodiscard]] constexpr std::array<std::uint64_t, 4> encode() const {
    constexpr std::uint64_t kStage2Only = 6U << 1U;
    constexpr std::uint64_t kStartLevel1 = 1ULL << 38U;
    constexpr std::uint64_t kAarch64 = 1ULL << 51U;
    return {kStage2Only | (valid ? 1U : 0U), 0,
            vmid | std::uint64_t{64U - ia_bits} << 32U | kStartLevel1 | kAarch64, raw(table)};
  }
  /// Whether the words are an entry of that kind; V is not looked at.
  static constexpr bool is_stage2(const std::array<std::uint64_t, 4>& words) {
    return (words[0] >> 1U & 7U) == 6 && (words[2] >> 38U & 3U) == 1 && (words[2] >> 51U & 1U) == 1;
  }
  static constexpr Ste decode(const std::array<std::uint64_t, 4>& words) {
    return {.valid = (words[0] & 1U) != 0,
            .vmid = static_cast<std::uint16_t>(words[2]),
            .table = Hpa{words[3] & kAddressBits},
            .ia_bits = static_cast<std::uint8_t>(64 - (words[2] >> 32U & 0x3fU))};
  }
};

using Command = std::array<std::uint64_t, 2>;
inline constexpr std::uint64_t kCommandBytes = sizeof(Command);
enum class Opcode : std::uint8_t {
  kCfgiSte = 0x03,
  kCfgiAll = 0x04,  ///< CFGI_STE_RANGE over everything
  kTlbiVmid = 0x28,
  kTlbiIpa = 0x2a,
  kSync = 0x46,
};
[[nodiscard]] constexpr Command cfgi_ste(std::uint32_t sid) {
  return {static_cast<std::uint64_t>(Opcode::kCfgiSte) | std::uint64_t{sid} << 32U, 1};
}
[[nodiscard]] constexpr Command cfgi_all() {
  return {static_cast<std::uint64_t>(Opcode::kCfgiAll), 31};
}
[[nodiscard]] constexpr Command tlbi_vmid(std::uint16_t vmid) {
  return {static_cast<std::uint64_t>(Opcode::kTlbiVmid) | std::uint64_t{vmid} << 32U, 0};
}
[[nodiscard]] constexpr Command tlbi_ipa(std::uint16_t vmid, Iova ipa) {
  return {static_cast<std::uint64_t>(Opcode::kTlbiIpa) | std::uint64_t{vmid} << 32U,
          raw(ipa) & kAddressBits};
}
[[nodiscard]] constexpr Command sync() { return {static_cast<std::uint64_t>(Opcode::kSync), 0}; }

inline constexpr std::uint64_t kEventBytes = 32;
/// Numbers of events: why a translation failed.
enum class Event : std::uint8_t {
  kNone = 0,  ///< of this model: the realm half is off
  kBadStreamId = 0x02,
  kSteFetch = 0x03,
  kBadSte = 0x04,
  kBadSubstreamId = 0x08,
  kTranslation = 0x10,
  kAddressSize = 0x11,
  kAccess = 0x12,
  kPermission = 0x13,
};

}  // namespace teeio::hw::smmu
