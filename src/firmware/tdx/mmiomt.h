#pragma once

#include "firmware/tdx/leaf.h"

namespace teeio::tdx {

/// The table of `level` (1…5) for `address`: 512 KiB, 256 MiB, 128 GiB, 64 TiB, all.
[[nodiscard]] Mmiomt::Key mmiomt_table(Hpa address, std::uint8_t level);
/// The entry for it in a table of the level above: 4 KiB, 2 MiB, 1 GiB.
[[nodiscard]] Mmiomt::Key mmiomt_entry_key(Hpa address, Level level);

/// The tables above the entry of `level`, shared. Source: mmiomt.c, mmiomt_walk().
Checked<void> mmiomt_walk(Leaf& leaf, Hpa address, unsigned level);
/// As mmiomt_walk(), and the lock of the whole entry.
Checked<void> mmiomt_lock(Leaf& leaf, Hpa address, unsigned level);

/// The DATA entry for `address`, locked; nullptr for a QNODE.
Checked<MmiomtEntry*> mmiomt_entry(Leaf& leaf, Hpa address, Level level);

}  // namespace teeio::tdx
