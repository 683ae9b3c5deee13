#pragma once

#include "firmware/tdx/leaf.h"

namespace teeio::tdx {

/// The name of an entry: requester ID and PASID cut down to what its level sees.
[[nodiscard]] State::DmarKey dmar_key(const DmarIndex& index);
/// Refuses what no index can be.
Checked<void> dmar_index(Leaf& leaf, const DmarIndex& index);
/// The entry, nullptr where it is FREE; it shares the table pages above. A host's index must
/// have the PASID that the context entry gives to requests without one, which is 0.
/// Refused with DMAR_ENTRY_NOT_PRESENT where a table above is missing or blocked.
/// Source: dmar.c, dmar_walk().
Checked<DmarEntry*> dmar_walk(Leaf& leaf, const DmarIndex& index, Operand operand);
/// As dmar_walk(), and an entry that is FREE: DMAR_INVALID_MAPPING_STATE.
Checked<DmarEntry*> dmar_used(Leaf& leaf, const DmarIndex& index, Operand operand);
/// Writes one quadword of an entry's memory.
void dmar_write(State& s, Hpa where, std::uint64_t value);

inline constexpr std::uint64_t kDmarPresent = 1;
/// PASID entry, first quadword: second stage only, four levels. Source: VT-d 9.6.
inline constexpr std::uint64_t kPasidSecondStage = std::uint64_t{2} << 6U | std::uint64_t{2} << 2U;

}  // namespace teeio::tdx
