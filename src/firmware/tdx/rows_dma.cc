#include "firmware/tdx/shared_checks.h"

// Trusted DMA: the tables of an IOMMU and its invalidation queue. The source of these is the
// tdxio branch, src/vmm_dispatcher/api_calls/tdxio and src/common/tdxio.

namespace teeio::tdx::row {
namespace {

using enum Code;
using enum Operand;

constexpr std::array<Check, 1> kIndex{{{"index", kOperandInvalid, kRcx, "bad DMAR index"}}};
/// dmar.c, dmar_walk(). The entry's own bit is never met: see locks.h.
consteval auto walk(Operand o) {
  return own({{"dmar", kDmarEntryNotPresent, o, "the table above is missing"},
              {"pasid", kOperandInvalid, o, "the function has no such PASID"},
              {"dmar_table", kOperandBusy, o, "another leaf takes a table page out"},
              {"dmar_entry", kOperandBusy, o, "another leaf has the DMAR entry", kHeldAbove}});
}
consteval std::array<Check, 1> state(Operand o, std::string_view refused_when) {
  return {{{"state", kDmarInvalidMappingState, o, refused_when}}};
}
consteval Check unused(Operand o) {
  return {"unused", kOperandInvalid, o, "the entry has no such quadword"};
}
consteval Check value(Operand o) {
  return {"value", kOperandInvalid, o, "a bit of the entry is not as it must be"};
}
constexpr std::array<Check, 4> kWait{
    {{"wait", kOperandInvalid, kR9, "the wait descriptor has another type, or no fence"},
     {"wait", kOperandInvalid, kR10, "the status address is not four bytes of the host's"},
     {"wait", kOperandInvalid, kR11, "the wait descriptor's third quadword is not zero"},
     {"wait", kOperandInvalid, kR12, "the wait descriptor's fourth quadword is not zero"}}};
constexpr std::array<Check, 1> kRoom{
    {{"full", kIqQueueFull, kRdx, "the invalidation queue is full"}}};

constexpr auto kTable = [] {
  auto checks = free_page(kRdx);
  checks[0].unmet = "an entry has whole addresses";
  return checks;
}();

constexpr auto kDmarAddChecks =
    join(kIndex, kIommu,
         std::array{unused(kR8), unused(kR9), unused(kR10), unused(kR11), unused(kR12),
                    unused(kR13), unused(kR14)},
         walk(kRcx), state(kRcx, "the entry is in use"),
         std::array{value(kRdx), value(kR8), value(kR9), value(kR10), value(kR11), value(kR12),
                    value(kR13), value(kR14)},
         kTable);
constexpr auto kDmarBlockChecks =
    join(kIndex, kIommu, walk(kRcx), state(kRcx, "the entry is free or blocked"),
         own({{"children", kDmarInvalidMappingState, kRcx, "the table has entries in use"}}),
         named_devif(kRcx));
constexpr auto kDmarReadChecks = join(kIndex, kIommu, walk(kRcx));
constexpr auto kDmarRemoveChecks =
    join(kIndex, kIommu, walk(kRcx), state(kRcx, "the entry is not blocked"),
         own({{"inv_state", kDmarInvalidInvState, kRcx, "the IOMMU may still know the entry"},
              {"busy", kOperandBusy, kRcx, "another leaf has the page"}}),
         kOwnTdr, kEpoch,
         own({{"iotlb", kIotlbTrackingNotDone, kRcx,
               "an IOMMU has not dropped the translations of the previous epoch"}}),
         named_devif(kRcx));
constexpr auto kIqIotlbChecks =
    join(kIommu, kRoom, td(kR8), kEpoch,
         own({{"needed", kIotlbTrackingNotRequired, kRax,
               "the IOMMU has nothing of the TD's previous epoch"},
              {"queued", kIotlbTrackingNotDone, kRax, "the request is queued"}}),
         kWait);
/// tdh_iq_inv_request.c and tdh_iq_inv_process.c; both with host priority.
consteval std::array<Check, 1> tdinv(Operand o) {
  return {{{"tdinv", kOperandBusy, o, "what the guest asked for is in use"}}};
}
constexpr auto kIqTdChecks =
    join(own({{"request", kOperandInvalid, kRdx, "no descriptors are to be taken"}}), kIommu, kRoom,
         td(kR8), tdinv(kR8),
         own({{"needed", kGuestInvNotRequired, kR8,
               "the guest asked for nothing, or this IOMMU has got it all (a remark)"}}),
         kWait);
constexpr auto kIqTableChecks =
    join(own({{"request", kOperandInvalid, kRdx, "there is no such request"}}), kIommu, kRoom,
         own({{"subject", kOperandInvalid, kR8, "there is no such PASID"}}), walk(kR8),
         state(kR8, "the entry is not blocked"),
         own({{"inv_state", kDmarInvalidInvState, kR8, "the invalidation was asked for already"}}),
         kWait);
/// The queue has whole addresses of TDRs, of which one for a guest may be gone.
constexpr auto kQueuedTdr = [] {
  auto checks = tdr(kRcx);
  for (Check& check : checks)
    if (check.id == "page" || check.id == "range") check.unmet = "the queue has addresses of TDRs";
  return checks;
}();
/// Of a request for a guest. A TD that has run has its control pages.
constexpr auto kQueuedTd = [] {
  auto checks = kTd;
  for (Check& check : checks)
    if (check.id == "tdcs") check.unmet = "a guest that asked has run";
  return checks;
}();
constexpr auto kIqProcessChecks = join(kIommu, kQueuedTdr, kQueuedTd, tdinv(kRcx), kEpoch);

}  // namespace

constinit const Row kDmarAdd{
    .number = 150,
    .name = "TDH.DMAR.ADD",
    .detail = {},
    .fails = "TDH.DMAR.ADD fails",
    .source =
        "tdh_dmar_add.c; dmar.c, dmar_rte_add() to dmar_pasidte_add(); dmar.h, "
        "is_valid_dmar_rte() to is_valid_dmar_pasidte()",
    .checks = kDmarAddChecks,
    .effect =
        "PRESENT, a PASIDTE: PENDING. A directory of several pages is interruptible: its "
        "pages are the module's from the first call on, and the call that goes on has the "
        "same value",
    .differs = {}};
constinit const Row kDmarBlock{
    .number = 151,
    .name = "TDH.DMAR.BLOCK",
    .detail = {},
    .fails = "TDH.DMAR.BLOCK fails",
    .source = "tdh_dmar_block.c",
    .checks = kDmarBlockChecks,
    .effect =
        "BLOCKED, inv PENDING. Nobody asks for the TDI or the TD: the host may stop DMA at "
        "any time",
    .differs = {}};
constinit const Row kDmarRead{
    .number = 152,
    .name = "TDH.DMAR.READ",
    .detail = {},
    .fails = "TDH.DMAR.READ fails",
    .source = "tdh_dmar_read.c; dmar.c, dmar_arc_read()",
    .checks = kDmarReadChecks,
    .effect = "RDX: level and states; R8 to R15: the entry",
    .differs = "the entry is as hardware sees it, without the module's own bits in it"};
constinit const Row kDmarRemove{
    .number = 153,
    .name = "TDH.DMAR.REMOVE",
    .detail = {},
    .fails = "TDH.DMAR.REMOVE fails",
    .source = "tdh_dmar_remove.c; dmar.c, dmar_rte_remove() to dmar_pasidte_remove()",
    .checks = kDmarRemoveChecks,
    .effect =
        "FREE; RCX: the first page of the table. A directory of several pages is "
        "interruptible",
    .differs = "that entries below are free is looked at by BLOCK only: none can come after it"};
constinit const Row kIqInvRequestIotlb{.number = 161,
                                       .name = "TDH.IQ.INV.REQUEST",
                                       .detail = "everything of a TD",
                                       .fails = "TDH.IQ.INV.REQUEST fails",
                                       .source = "tdh_iq_inv_request.c",
                                       .checks = kIqIotlbChecks,
                                       .effect = "two descriptors are queued",
                                       .differs = {}};
constinit const Row kIqInvRequest{.number = 161,
                                  .name = "TDH.IQ.INV.REQUEST",
                                  .detail = "a blocked entry",
                                  .fails = "TDH.IQ.INV.REQUEST fails",
                                  .source = "tdh_iq_inv_request.c",
                                  .checks = kIqTableChecks,
                                  .effect =
                                      "descriptors are queued (PASIDTE 3: PASID cache and IOTLB of "
                                      "the domain; CTE 2: all context "
                                      "caches; others 1); inv QUEUED",
                                  .differs = {}};
constinit const Row kIqInvRequestTd{
    .number = 161,
    .name = "TDH.IQ.INV.REQUEST",
    .detail = "what a guest asked for",
    .fails = "TDH.IQ.INV.REQUEST fails",
    .source = "tdh_iq_inv_request.c, INV_REQ_TD",
    .checks = kIqTdChecks,
    .effect =
        "as many of the guest's descriptors as are to be taken and there is room for, with the "
        "TD's domain; RCX: how many this IOMMU has not got",
    .differs = {}};
constinit const Row kIqInvProcess{
    .number = 162,
    .name = "TDH.IQ.INV.PROCESS",
    .detail = {},
    .fails = "TDH.IQ.INV.PROCESS fails",
    .source = "tdh_iq_inv_process.c",
    .checks = kIqProcessChecks,
    .effect =
        "what the IOMMU has passed is done, which may be nothing: inv DONE, or the TD's epoch "
        "of this IOMMU is that of now. Of what a guest asked for each descriptor counts, and so "
        "does the wait of each request: who queues few at a time has the guest told early. When "
        "all IOMMUs are through its status is written, if its page is accepted and the secure EPT "
        "free. A guest's request whose TD died stays at the head. Interruptible between "
        "descriptors",
    .differs = "the IOMMU passes requests when PROCESS is called, or at the next call"};

}  // namespace teeio::tdx::row
