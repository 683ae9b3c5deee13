#pragma once

#include <string_view>

#include "base/bytes.h"
#include "firmware/tdx/td.h"

namespace teeio::tdx {

// TDREPORT_STRUCT and its parts, in bytes. Source: tag TDX_1.5.01, include/tdx_api_defs.h.
inline constexpr std::size_t kTdReportBytes = 1024;
inline constexpr std::size_t kReportMacBytes = 256;
inline constexpr std::size_t kReportDataBytes = 64;
inline constexpr std::size_t kReportTdInfo = 512;  ///< where TDINFO_STRUCT begins
inline constexpr std::size_t kReportMrtd = kReportTdInfo + 16;
inline constexpr std::size_t kReportRtmrs = kReportTdInfo + 208;

/// What a leaf that builds a TD adds to its measurement: the leaf's name and the GPA.
/// Source: tdh_mem_page_add.c and tdh_mr_extend.c, sha_update_block.
void measure(Td& td, std::string_view leaf, Gpa gpa);

/// TDREPORT_STRUCT of the TD as it is now, with `data` of kReportDataBytes.
/// Source: tdg_mr_report.c, get_tdinfo_and_teeinfohash().
[[nodiscard]] Bytes make_td_report(const Td& td, ByteView data);
/// Whether this machine's processor made the REPORTMACSTRUCT. Source: tdg_mr_verifyreport.c.
[[nodiscard]] bool is_own_report(ByteView mac_struct);

}  // namespace teeio::tdx
