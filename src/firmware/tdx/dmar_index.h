#pragma once

#include "firmware/tdx/leaf.h"

namespace teeio::tdx {

/// The name of an entry: requester ID and PASID cut down to what its level sees.
[[nodiscard]] State::DmarKey dmar_key(const DmarIndex& index);
/// Refuses what no index can be.
Checked<void> dmar_index(Leaf& leaf, const DmarIndex& index);
/// An entry that was added; DMAR_ENTRY_NOT_PRESENT when it or a table above is not.
Checked<DmarEntry*> dmar_walk(Leaf& leaf, const DmarIndex& index);
/// Writes one quadword of an entry's memory.
void dmar_write(State& s, Hpa where, std::uint64_t value);

inline constexpr std::uint64_t kDmarPresent = 1;
/// PASID entry, first quadword: second stage only, four levels. Source: VT-d 9.6.
inline constexpr std::uint64_t kPasidSecondStage = std::uint64_t{2} << 6U | std::uint64_t{2} << 2U;

}  // namespace teeio::tdx
