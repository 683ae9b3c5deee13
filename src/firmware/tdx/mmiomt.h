#pragma once

#include "firmware/tdx/leaf.h"

namespace teeio::tdx {

/// What names the table of `level` (1…5) that covers `address`, or the entry of
/// `level` (0…2) for it: a table's name is that of the entry which points to it.
[[nodiscard]] Mmiomt::Key mmiomt_key(Hpa address, std::uint8_t level);

/// The DATA entry for `address`, nullptr for a QNODE. Refused with
/// OPERAND_INVALID(operand) and MMIOMT_NOT_PRESENT.
Checked<MmiomtEntry*> mmiomt_entry(Leaf& leaf, Hpa address, Level level, Operand operand);

}  // namespace teeio::tdx
