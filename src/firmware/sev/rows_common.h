#pragma once

#include "firmware/sev/rows.h"

// Checks that several rows have.

namespace teeio::sev {

/// What Check::source says where AMD's published firmware looks so, in the function of the
/// command: fw/psp_bl_uapps/sev_uapp/src/sev_mcmd.c of amd/AMD-ASPFW.
inline constexpr std::string_view kAspFirmware = "ASPFW";

inline constexpr Check kSnpCheck{"snp", Status::kInvalidPlatformState, "SNP is not initialised",
                                 kAspFirmware};
inline constexpr Check kAddressCheck{"address", Status::kInvalidAddress, "there is no such page"};
inline constexpr Check kReservedCheck{"reserved", Status::kInvalidParam,
                                      "a reserved field is not zero", kAspFirmware};
/// SNP_ADDR_RESERVED_MASK.
inline constexpr Check kAddressBitsCheck{
    "reserved", Status::kInvalidParam,
    "a reserved field, or one of bits 11:0 of a page's address, is not zero", kAspFirmware};
inline constexpr Check kCrossesCheck{"crosses", Status::kInvalidParam,
                                     "the answer would cross the end of its page", kAspFirmware};
/// The firmware changes one page's state, or writes one page: not the 2 MiB around it.
inline constexpr Check kSizeCheck{"size", Status::kInvalidPageSize,
                                  "the page lies in an RMP entry of 2 MiB"};

}  // namespace teeio::sev
