#include "firmware/tdx/shared_checks.h"

// Private memory. The source of these is the tag TDX_1.5.01, src/vmm_dispatcher/api_calls; what
// looks at IOMMUs is the tdxio branch's, is_tlb_and_iotlb_tracked() among it.

namespace teeio::tdx::row {
namespace {

using enum Code;
using enum Operand;

constexpr std::string_view kAllLevels = "the entry may be of any level";

consteval std::array<Check, 1> state(std::string_view refused_when) {
  return {{{"state", kEptEntryStateIncorrect, kRcx, refused_when}}};
}
/// kSept of a leaf for entries of every level.
constexpr auto kSeptOfAny = [] {
  auto checks = kSept;
  checks[0].unmet = kAllLevels;
  return checks;
}();
/// What is given back: its PAMT entry. RCX has named the page since the leaf's entry.
constexpr std::array<Check, 1> kFrames{{{"busy", kOperandBusy, kRcx, "another leaf has the page"}}};
/// kTracked of an entry that is known to be blocked.
constexpr std::array<Check, 2> kTrackedBlocked{kTracked[1], kTracked[2]};
constexpr auto kGpaOfPage = [] {
  auto checks = kGpa;
  checks[0].unmet = "it takes no level";
  return checks;
}();

constexpr auto kSeptAddChecks =
    join(td(kRdx), kTableLevel, kSeptOfAny, state("the entry is in use"), free_page(kR8));
constexpr auto kSeptRemoveChecks =
    join(td(kRdx), kTableLevel, kSeptOfAny, state("the entry has no table"), kFrames, kTracked,
         own({{"empty", kEptPageNotFree, kRcx, "the table has entries"}}));
constexpr auto kPageAddChecks = join(td_alone(kRdx), kGpaOfPage, kWalk, state("the GPA has a page"),
                                     shared(kR9), free_page(kR8));
constexpr auto kPageAugChecks =
    join(td(kRdx), kSept, state("the GPA has an entry"), free_page(kR8));
constexpr auto kPageRemoveChecks =
    join(td(kRdx), kSept, state("the entry has no page"), kFrames, kTracked);
constexpr auto kRangeBlockChecks = join(
    td(kRdx), kSeptOfAny,
    own({{"blocked", kGpaRangeAlreadyBlocked, kRcx, "the range is blocked already (a remark)"}}),
    state("no RAM entry to block"));
constexpr auto kRangeUnblockChecks =
    join(td(kRdx), kSeptOfAny, state("the range is not blocked"), kTrackedBlocked);
constexpr auto kTrackChecks = join(
    td(kRcx), kEpoch,
    own({{"vcpus", kPreviousTlbEpochBusy, kRax, "a vCPU of the previous epoch has not left the TD"},
         {"iotlb", kIotlbTrackingNotDone, kRax,
          "an IOMMU has not dropped the translations of the previous epoch"}}));

constexpr auto kSharedSeptWrChecks =
    join(td(kRdx), own({{"level", kOperandInvalid, kRcx,
                         "the level is not the root's, or the GPA no part of "
                         "its size"},
                        {"shared_half", kOperandInvalid, kRcx, "the GPA is private or too wide"},
                        {"tree", kOperandBusy, kSeptTree, "another leaf has the secure EPT"}}));

}  // namespace

constinit const Row kMemSeptAdd{.number = 3,
                                .name = "TDH.MEM.SEPT.ADD",
                                .detail = {},
                                .fails = "TDH.MEM.SEPT.ADD fails",
                                .source = "tdh_mem_sept_add.c, version 0",
                                .checks = kSeptAddChecks,
                                .effect = "a table page below the entry",
                                .differs = {}};
constinit const Row kMemSeptRemove{.number = 30,
                                   .name = "TDH.MEM.SEPT.REMOVE",
                                   .detail = {},
                                   .fails = {},
                                   .source = "tdh_mem_sept_remove.c, version 0",
                                   .checks = kSeptRemoveChecks,
                                   .effect = "the entry is free; RCX: the page",
                                   .differs = {}};
constinit const Row kMemPageAdd{
    .number = 2,
    .name = "TDH.MEM.PAGE.ADD",
    .detail = {},
    .fails = {},
    .source = "tdh_mem_page_add.c",
    .checks = kPageAddChecks,
    .effect = "the host's bytes, with the TD's key, MAPPED; the GPA is measured",
    .differs =
        "a source page that is no RAM, or the module's, is refused where the platform would "
        "meet a machine check"};
constinit const Row kMemPageAug{.number = 6,
                                .name = "TDH.MEM.PAGE.AUG",
                                .detail = {},
                                .fails = "TDH.MEM.PAGE.AUG fails",
                                .source = "tdh_mem_page_aug.c and check_and_lock_free_range_hpa()",
                                .checks = kPageAugChecks,
                                .effect = "a page, or 512 of them in a row, PENDING",
                                .differs = {}};
constinit const Row kMemPageRemove{
    .number = 29,
    .name = "TDH.MEM.PAGE.REMOVE",
    .detail = {},
    .fails = "TDH.MEM.PAGE.REMOVE fails",
    .source = "tdh_mem_page_remove.c",
    .checks = kPageRemoveChecks,
    .effect = "the entry is free; RCX: the page. In a TD that is being built nothing needs a block",
    .differs = {}};
constinit const Row kMemRangeBlock{.number = 7,
                                   .name = "TDH.MEM.RANGE.BLOCK",
                                   .detail = {},
                                   .fails = "TDH.MEM.RANGE.BLOCK fails",
                                   .source = "tdh_mem_range_block.c",
                                   .checks = kRangeBlockChecks,
                                   .effect = "nobody walks past the entry; it has the epoch of now",
                                   .differs = {}};
constinit const Row kMemRangeUnblock{.number = 39,
                                     .name = "TDH.MEM.RANGE.UNBLOCK",
                                     .detail = {},
                                     .fails = {},
                                     .source = "tdh_mem_range_unblock.c",
                                     .checks = kRangeUnblockChecks,
                                     .effect = "the entry is as before its block",
                                     .differs = {}};
constinit const Row kMemTrack{.number = 38,
                              .name = "TDH.MEM.TRACK",
                              .detail = {},
                              .fails = "TDH.MEM.TRACK fails",
                              .source = "tdh_mem_track.c",
                              .checks = kTrackChecks,
                              .effect = "a new epoch",
                              .differs = {}};

constinit const Row kMemSharedSeptWr{
    .number = 163,
    .name = "TDH.MEM.SHARED.SEPT.WR",
    .detail = {},
    .fails = "TDH.MEM.SHARED.SEPT.WR fails",
    .source = "tdxio branch, tdh_mem_shared_sept_wr.c, version 0",
    .checks = kSharedSeptWrChecks,
    .effect =
        "the root's entry is what the host says, unseen: trusted DMA to shared addresses walks the "
        "host's table, and reaches memory without a key",
    .differs = "no nested VMs, whose entries version 1 writes"};

}  // namespace teeio::tdx::row
