#pragma once

#include "firmware/sev/rows.h"

// Checks that several rows have.

namespace teeio::sev {

inline constexpr Check kSnpCheck{"snp", Status::kInvalidPlatformState, "SNP is not initialised"};
inline constexpr Check kAddressCheck{"address", Status::kInvalidAddress, "there is no such page"};
inline constexpr Check kReservedCheck{"reserved", Status::kInvalidParam,
                                      "a reserved field is not zero"};
/// The firmware changes one page's state, or writes one page: not the 2 MiB around it.
inline constexpr Check kSizeCheck{"size", Status::kInvalidPageSize,
                                  "the page lies in an RMP entry of 2 MiB"};

}  // namespace teeio::sev
