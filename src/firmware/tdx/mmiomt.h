#pragma once

#include "firmware/tdx/leaf.h"

namespace teeio::tdx {

/// The table of `level` (1…5) for `address`: 512 KiB, 256 MiB, 128 GiB, 64 TiB, all.
[[nodiscard]] Mmiomt::Key mmiomt_table(Hpa address, std::uint8_t level);
/// The entry for it in a table of the level above: 4 KiB, 2 MiB, 1 GiB.
[[nodiscard]] Mmiomt::Key mmiomt_entry_key(Hpa address, Level level);

/// The DATA entry for `address`, nullptr for a QNODE. Refused with
/// OPERAND_INVALID(operand) and MMIOMT_NOT_PRESENT.
Checked<MmiomtEntry*> mmiomt_entry(Leaf& leaf, Hpa address, Level level, Operand operand);

}  // namespace teeio::tdx
