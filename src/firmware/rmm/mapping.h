#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "firmware/rmm/records.h"
#include "firmware/rmm/rtt.h"

namespace teeio::rmm {

inline constexpr std::uint64_t kTableSlots = 512;
inline constexpr std::uint64_t kListSlots = kPageSize / sizeof(std::uint64_t);

/// addr_in_par() of both ends.
[[nodiscard]] constexpr bool in_protected(Gpa base, Gpa top) {
  return raw(base) < Rtt::kProtected && raw(top) - 1 < Rtt::kProtected;
}

/// Neither end is in the protected half, and both are in the realm's address space.
[[nodiscard]] constexpr bool in_unprotected(Gpa base, Gpa top) {
  return raw(base) >= Rtt::kProtected && raw(base) < Rtt::kAddresses &&
         raw(top) - 1 >= Rtt::kProtected && raw(top) - 1 < Rtt::kAddresses;
}

/// Bytes from `ipa` to the end of the table whose entries are of `level`.
[[nodiscard]] constexpr std::uint64_t to_table_end(Gpa ipa, std::uint8_t level) {
  const std::uint64_t span = level_bytes(level) * kTableSlots;
  return span - raw(ipa) % span;
}

/// A block more of an output list: before or behind a run that it has, else of one of its own.
/// False: it has `most` already. Source: TF-RMM lib/addr_list, addr_list_add_block().
[[nodiscard]] bool add_block(std::vector<AddressDescriptor>& list, const AddressDescriptor& block,
                             std::size_t most);

}  // namespace teeio::rmm
