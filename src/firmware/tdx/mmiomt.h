#pragma once

#include "firmware/tdx/leaf.h"

namespace teeio::tdx {

/// The table of `level` (1…5) for `address`: 512 KiB, 256 MiB, 128 GiB, 64 TiB, all.
[[nodiscard]] Mmiomt::Key mmiomt_table(Hpa address, std::uint8_t level);
/// The entry for it in a table of the level above: 4 KiB, 2 MiB, 1 GiB.
[[nodiscard]] Mmiomt::Key mmiomt_entry_key(Hpa address, Level level);

/// The tables above the entry of `level`, shared, and the entry's lock.
/// Source: mmiomt.c, mmiomt_walk(). That the lock is that of the whole entry, not of one
/// quarter, is a guess.
Checked<void> mmiomt_walk(Leaf& leaf, Hpa address, unsigned level, Operand operand);

/// The DATA entry for `address`, locked; nullptr for a QNODE. Refused with
/// OPERAND_INVALID(operand) and as mmiomt_walk().
Checked<MmiomtEntry*> mmiomt_entry(Leaf& leaf, Hpa address, Level level, Operand operand);

}  // namespace teeio::tdx
