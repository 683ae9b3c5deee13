#pragma once

#include <algorithm>
#include <array>

#include "firmware/tdx/rows.h"

namespace teeio::tdx::row {

// Checks that many leaves make alike, in blocks with an order of their own.

/// The checks of a row, from blocks and from what is its own.
template <std::size_t... N>
consteval auto join(const std::array<Check, N>&... parts) {
  std::array<Check, (N + ... + 0)> all{};
  std::size_t at = 0;
  ((std::ranges::copy(parts, all.begin() + static_cast<std::ptrdiff_t>(at)), at += N), ...);
  return all;
}
template <std::size_t N>
consteval std::array<Check, N> own(const Check (&checks)[N]) {
  return std::to_array(checks);
}
/// A block that nothing gets as far as.
template <std::size_t N>
consteval std::array<Check, N> unmet(std::string_view why, std::array<Check, N> block) {
  for (Check& check : block) check.unmet = why;
  return block;
}
inline constexpr std::string_view kHeldAbove = "whoever could hold it is kept out by a lock above";

/// Leaf numbers of the other generation of the API. tdx_vmm_dispatcher.c.
inline constexpr std::array<Check, 1> kApi{
    {{"api", Code::kOperandInvalid, Operand::kRax, "the module's API has no such leaf"}}};

/// A page that the host donates. helpers.c, check_and_lock_explicit_4k_private_hpa().
consteval std::array<Check, 4> free_page(Operand o) {
  return {{{"page", Code::kOperandInvalid, o, "the address is no page's"},
           {"range", Code::kOperandAddrRangeError, o, "the address is no page of RAM"},
           {"busy", Code::kOperandBusy, o, "another leaf has the page"},
           {"type", Code::kPageMetadataIncorrect, o, "the page is the module's already"}}};
}
/// A TD's root page, by its address. helpers.c, check_lock_and_map_explicit_tdr().
consteval std::array<Check, 4> tdr(Operand o) {
  return {{{"page", Code::kOperandInvalid, o, "the address is no page's"},
           {"range", Code::kOperandAddrRangeError, o, "the address is no page of RAM"},
           {"busy", Code::kOperandBusy, o, "another leaf has the TDR page"},
           {"type", Code::kPageMetadataIncorrect, o, "the page is no TDR"}}};
}
/// The same, of the TD that something belongs to. helpers.c, lock_and_map_implicit_tdr().
inline constexpr std::array<Check, 1> kOwnTdr{
    {{"busy", Code::kOperandBusy, Operand::kTdr, "another leaf has the TDR page"}}};
/// helpers.c, check_and_lock_explicit_4k_private_hpa() with PT_TDVPR.
consteval std::array<Check, 4> tdvpr(Operand o) {
  return {{{"page", Code::kOperandInvalid, o, "the address is no page's"},
           {"range", Code::kOperandAddrRangeError, o, "the address is no page of RAM"},
           {"busy", Code::kOperandBusy, o, "the vCPU is in use"},
           {"type", Code::kPageMetadataIncorrect, o, "the page is no TDVPR"}}};
}
/// The TD has keys: all that is asked before it has all its control pages.
inline constexpr std::array<Check, 2> kTdKeys{
    {{"fatal", Code::kTdFatal, Operand::kRax, "the TD met a fatal error"},
     {"keys", Code::kTdKeysNotConfigured, Operand::kRax, "the TD has no usable key"}}};
/// helpers.c, check_state_map_tdcs_and_lock() without a lock: the TDR is held exclusively.
inline constexpr auto kTdAlone = join(
    kTdKeys,
    own({{"tdcs", Code::kTdcsNotAllocated, Operand::kRax, "the TD's control pages are missing"},
         {"op_state", Code::kOpStateIncorrect, Operand::kRax,
          "the TD's state does not allow this leaf"}}));
/// The same with the lock of the TD's state, shared.
inline constexpr auto kTd = join(
    kTdKeys,
    own({{"tdcs", Code::kTdcsNotAllocated, Operand::kRax, "the TD's control pages are missing"},
         {"op_busy", Code::kOperandBusy, Operand::kOpState, "another leaf changes the TD's state",
          "only leaves of migration take it whole"},
         {"op_state", Code::kOpStateIncorrect, Operand::kRax,
          "the TD's state does not allow this leaf"}}));
/// TDR and TD of most leaves.
consteval auto td(Operand o) { return join(tdr(o), kTd); }
consteval auto td_alone(Operand o) { return join(tdr(o), kTdAlone); }

/// helpers.c, verify_page_info_input() and check_gpa_validity().
inline constexpr std::array<Check, 3> kGpa{
    {{"level", Code::kOperandInvalid, Operand::kRcx, "the level is too high"},
     {"gpa", Code::kOperandInvalid, Operand::kRcx, "the GPA is shared or too wide"},
     {"aligned", Code::kOperandInvalid, Operand::kRcx, "the GPA is not aligned to the level"}}};
inline constexpr std::array<Check, 1> kTableLevel{
    {{"table", Code::kOperandInvalid, Operand::kRcx, "no table hangs below a 4 KiB entry"}}};
inline constexpr std::array<Check, 1> kWalk{
    {{"walk", Code::kEptWalkFailed, Operand::kRcx, "the walk ended above the level"}}};
/// sept_manager.c, lock_sept_check_and_walk_private_gpa(); tdx_locks.h, sept_lock_acquire_host().
inline constexpr auto kSept = join(
    kGpa,
    own({{"tree", Code::kOperandBusy, Operand::kSeptTree, "another leaf has the secure EPT"}}),
    kWalk,
    own({{"entry", Code::kOperandBusy, Operand::kRcx, "another leaf has the secure EPT entry"}}));
/// tdh_mem_page_remove.c and tdh_mmio_unmap.c: what is removed is in no cache any more.
inline constexpr std::array<Check, 3> kTracked{
    {{"blocked", Code::kGpaRangeNotBlocked, Operand::kRcx, "the range is not blocked"},
     {"tlb", Code::kTlbTrackingNotDone, Operand::kRcx,
      "a vCPU may still have a translation from before the block"},
     {"iotlb", Code::kIotlbTrackingNotDone, Operand::kRcx,
      "an IOMMU may still have a translation from before the block"}}};

/// A page of the host's that a message is in. helpers.c, shared_hpa_check_with_pwr_2_alignment().
consteval std::array<Check, 1> shared(Operand o) {
  return {{{"shared", Code::kOperandInvalid, o, "the message page is no page of the host's"}}};
}
/// What the page holds.
consteval std::array<Check, 1> object(Operand o, Code code) {
  return {{{"object", code, o, "the message page holds no data object"}}};
}

/// iommu_common.h, general_check_and_lock_iommu_config().
inline constexpr std::array<Check, 5> kIommu{
    {{"iommu", Code::kOperandInvalid, Operand::kRcx, "bad IOMMU id"},
     {"no_iommu", Code::kIommuInvalidState, Operand::kRcx, "no such IOMMU"},
     {"iommu_busy", Code::kOperandBusy, Operand::kRcx, "another leaf has the IOMMU"},
     {"iommu_state", Code::kIommuInvalidState, Operand::kRcx, "the IOMMU is not set up"},
     {"root_ports", Code::kRpNotConfigured, Operand::kRcx,
      "a root port of the IOMMU is not set up"}}};
/// The same for an IOMMU that something stands on: only its lock can be met.
inline constexpr std::array<Check, 1> kOwnIommu{
    {{"iommu_busy", Code::kOperandBusy, Operand::kRcx, "another leaf has the IOMMU"}}};

inline constexpr std::array<Check, 1> kSpdmId{
    {{"spdm", Code::kOperandInvalid, Operand::kRdx, "bad SPDM index"}}};
/// spdm.c, map_and_lock_spdmdir_entry().
consteval std::array<Check, 1> spdm_entry(Operand o) {
  return {{{"spdm_busy", Code::kOperandBusy, o, "another leaf has the SPDM session"}}};
}
/// spdm.c, lock_check_and_map_spdm_metadata() of a session that is there.
consteval auto own_spdm(Operand o) {
  return join(spdm_entry(o),
              own({{"spdm_state", Code::kSpdmInvalidState, o, "the SPDM session is not bound"}}));
}
consteval std::array<Check, 1> no_spdm(Operand o) {
  return {{{"no_spdm", Code::kSpdmEntryNotPresent, o, "no such SPDM session"}}};
}

/// tdh_ide_stream_*.c of the module: MAX_IDE_STREAM_ID.
inline constexpr std::array<Check, 1> kStreamId{
    {{"stream_id", Code::kOperandInvalid, Operand::kRdx, "a stream's id has eight bits"}}};
inline constexpr std::array<Check, 1> kStream{
    {{"stream", Code::kIdeStreamNotConfigured, Operand::kRdx, "no such IDE stream"}}};
inline constexpr std::array<Check, 1> kNotBlocked{
    {{"stream_blocked", Code::kIdeStreamBlocked, Operand::kRdx, "the IDE stream is blocked"}}};

/// devifmt.c, devifmt_walk() and mt_walk_helpers.c.
consteval std::array<Check, 2> devifmt_walk(Operand o) {
  return {{{"devifmt", Code::kDevifmtNotPresent, o, "DEVIFMT has no table for the function"},
           {"devifmt_table", Code::kOperandBusy, o, "another leaf takes a table page out"}}};
}
consteval std::array<Check, 1> function_id(Operand o) {
  return {{{"function", Code::kOperandInvalid, o, "the function id has more than a requester ID"}}};
}
consteval std::array<Check, 1> devif_busy(Operand o) {
  return {{{"devif_busy", Code::kOperandBusy, o, "another leaf has the device interface"}}};
}
consteval std::array<Check, 1> no_devif(Operand o) {
  return {{{"devif", Code::kDevifmtNotPresent, o, "the function has no device interface"}}};
}
/// devifmt.c, tdh_devifmt_get_devifcs().
consteval auto devif(Operand o) {
  return join(function_id(o), devifmt_walk(o), devif_busy(o), no_devif(o));
}

/// The same of a function that a table names, whose id was looked at when it got there.
consteval auto named_devif(Operand o) {
  return join(unmet("a table names requester IDs only", function_id(o)), devifmt_walk(o),
              devif_busy(o), no_devif(o));
}

inline constexpr std::array<Check, 1> kEpoch{
    {{"epoch", Code::kOperandBusy, Operand::kTdEpoch, "another leaf has the TD's epoch"}}};
inline constexpr std::array<Check, 1> kKeyTable{
    {{"kot", Code::kOperandBusy, Operand::kKot, "another leaf has the key table"}}};

}  // namespace teeio::tdx::row
