#pragma once

#include "firmware/tdx/leaf.h"

namespace teeio::tdx {

/// The name of an entry: requester ID and PASID cut down to what its level sees.
[[nodiscard]] State::DmarKey dmar_key(const DmarIndex& index);
/// Whether there can be such an entry.
[[nodiscard]] bool dmar_index_fits(const DmarIndex& index);
/// The entry, nullptr where there never was one; it shares the table pages above. A host's
/// index must have the PASID that the context entry gives to requests without one, which is 0.
/// Checks "dmar", "pasid", "dmar_table". Source: dmar.c, dmar_walk().
Checked<DmarEntry*> dmar_walk(Leaf& leaf, const DmarIndex& index, Operand operand);
/// The state of what dmar_walk() gave.
[[nodiscard]] inline DmarState dmar_state_of(const DmarEntry* entry) {
  return entry == nullptr ? DmarState::kFree : entry->state;
}
/// Writes one quadword of an entry's memory.
void dmar_write(State& s, Hpa where, std::uint64_t value);

inline constexpr std::uint64_t kDmarPresent = 1;
/// PASID entry, first quadword: four levels. Source: VT-d 9.6.
inline constexpr std::uint64_t kPasidFourLevels = std::uint64_t{2} << 2U;

}  // namespace teeio::tdx
