#pragma once

#include <cstdint>
#include <string_view>

namespace teeio::schedule {

/// A number that stands for a name, so that comparing two is one instruction. 0: no name.
/// Source: draft-eastlake-fnv, FNV-1a of 64 bits.
[[nodiscard]] constexpr std::uint64_t name_number(std::string_view name) {
  if (name.empty()) return 0;
  std::uint64_t number = 0xcbf2'9ce4'8422'2325;
  for (const char letter : name) {
    number ^= static_cast<unsigned char>(letter);
    number *= 0x100'0000'01b3;
  }
  return number;
}

}  // namespace teeio::schedule
