#pragma once

#include "firmware/tdx/leaf.h"

namespace teeio::tdx {

/// The table of `level` (1…5) for `address`: 512 KiB, 256 MiB, 128 GiB, 64 TiB, all.
[[nodiscard]] Mmiomt::Key mmiomt_table(Hpa address, std::uint8_t level);
/// The entry for it in a table of the level above: 4 KiB, 2 MiB, 1 GiB.
[[nodiscard]] Mmiomt::Key mmiomt_entry_key(Hpa address, Level level);

/// An entry, and the table that it is in: null for the one that points to the root.
struct MmiomtPlace {
  MmiomtTable* table;
  MmiomtSlot* slot;
};

/// The tables above the entry of `level`, shared, and the last of them, of which only what is
/// recorded apart may be changed. Source: mmiomt.c, mmiomt_walk().
Checked<MmiomtTable*> mmiomt_walk(Leaf& leaf, Hpa address, unsigned level);
/// As mmiomt_walk(), and the lock of the whole entry.
Checked<MmiomtPlace> mmiomt_lock(Leaf& leaf, Hpa address, unsigned level);

/// The entry of a table that stays, for `address`. Precondition: there is the table.
[[nodiscard]] MmiomtSlot& mmiomt_slot(State& s, Hpa address, Level level);

}  // namespace teeio::tdx
