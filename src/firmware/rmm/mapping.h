#pragma once

#include <cstdint>

#include "firmware/rmm/rtt.h"

namespace teeio::rmm {

inline constexpr std::uint64_t kTableSlots = 512;
inline constexpr std::uint64_t kListSlots = kPageSize / sizeof(std::uint64_t);

/// addr_in_par() of both ends.
[[nodiscard]] constexpr bool in_protected(Gpa base, Gpa top) {
  return raw(base) < Rtt::kProtected && raw(top) - 1 < Rtt::kProtected;
}

/// Bytes from `ipa` to the end of the table whose entries are of `level`.
[[nodiscard]] constexpr std::uint64_t to_table_end(Gpa ipa, std::uint8_t level) {
  const std::uint64_t span = level_bytes(level) * kTableSlots;
  return span - raw(ipa) % span;
}

}  // namespace teeio::rmm
