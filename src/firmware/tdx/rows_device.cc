#include "firmware/tdx/shared_checks.h"

// Device interfaces, metadata of MMIO, private MMIO. The source of these is the tdxio branch,
// src/vmm_dispatcher/api_calls/tdxio and src/common/tdxio.

namespace teeio::tdx::row {
namespace {

using enum Code;
using enum Operand;

/// An entry of DEVIFMT that is no interface's: the tables above it, and its lock.
constexpr auto kDevifmtEntry =
    join(own({{"index", kOperandInvalid, kRcx, "bad DEVIFMT index"}}), devifmt_walk(kRcx),
         own({{"entry", kOperandBusy, kRcx, "another leaf has the DEVIFMT entry"}}));
constexpr auto kDevifmtAddChecks =
    join(own({{"index", kOperandInvalid, kRcx, "bad DEVIFMT index"}}), free_page(kRdx),
         devifmt_walk(kRcx),
         own({{"entry", kOperandBusy, kRcx, "another leaf has the DEVIFMT entry"},
              {"present", kDevifmtAlreadyPresent, kRcx, "the table exists"}}));
constexpr auto kDevifmtRemoveChecks =
    join(kDevifmtEntry, own({{"table", kDevifmtNotPresent, kRcx, "no such table"},
                             {"busy", kOperandBusy, kRcx, "another leaf has the page"},
                             {"empty", kDevifInvalidMetadata, kRcx, "the table has entries"}}));

constexpr auto kDevifmtRdChecks =
    join(own({{"index", kOperandInvalid, kRcx, "bad DEVIFMT index"}}), devifmt_walk(kRcx));

constexpr auto kDevifCreateChecks = join(
    free_page(kR8), td(kRdx), free_page(kR9), free_page(kR10), function_id(kRcx),
    devifmt_walk(kRcx), devif_busy(kRcx),
    own({{"present", kDevifmtAlreadyPresent, kRcx, "the function has a device interface"}}), kIommu,
    own({{"stream", kIdeStreamInvalidState, kRcx, "the IDE stream is missing or blocked"},
         {"rid", kOperandInvalid, kRcx, "the IDE stream does not cover the function"}}),
    own_spdm(kRcx));
constexpr auto kDevifRemoveChecks = join(
    devif(kRcx), kOwnIommu,
    own({{"unlocked", kDevifInvalidState, kRcx,
          "the TDI was not stopped and its IDE stream is not blocked"},
         {"dma", kDevifHasMappedDma, kRcx, "trusted DMA is still set up"}}),
    kOwnTdr,
    own({{"mmio", kDevifHasMappedMmio, kRcx, "private MMIO of the function is still mapped"},
         {"busy", kOperandBusy, kRcx, "another leaf has a page of the interface", kHeldAbove}}));
constexpr auto kDevifRequestChecks = join(
    own({{"td_code", kOperandInvalid, kRdx, "a guest's request has its code in the guest's buffer"},
         {"no_update", kOperandInvalid, kRdx, "only LOCK forbids updates"}}),
    devif(kRcx),
    own({{"error", kTdispErrorState, kRcx, "the TDI is in ERROR"},
         {"outstanding", kTdispOutReq, kRcx, "a request waits for its answer"},
         {"asked", kTdispInvalidReqSts, kRcx, "the guest has asked for nothing"},
         {"code", kOperandInvalid, kRdx, "no request of the VMM's"}}),
    shared(kR8), kOwnIommu, own_spdm(kRcx),
    own({{"seal", kSpdmInvalidState, kRcx, "the session has failed"}}));
constexpr auto kDevifResponseChecks =
    join(shared(kRdx), devif(kRcx),
         own({{"outstanding", kTdispOutReq, kRcx, "no request waits for an answer"},
              {"tds", kTdispInvalidReqSts, kRdx, "the request was the TD's"},
              {"output", kOperandInvalid, kR8, "a TD's answer is not the VMM's"}}),
         shared(kR8), own_spdm(kRcx), object(kRdx, kSpdmInvalidMessage),
         own({{"authentic", kSpdmInvalidMessage, kRdx, "the answer is not the session's"},
              {"content", kTdispInvalidMessage, kRdx, "the answer has no TDISP message in it"},
              {"size", kTdispInvalidMessage, kRdx, "no TDISP message has that size"},
              {"header", kTdispInvalidMessage, kRdx, "the answer is not the function's"},
              {"for_td", kOperandInvalid, kRdx, "only a TD may have such an answer"},
              {"message", kTdispInvalidMessage, kRdx, "no answer to the VMM"}}));

constexpr std::array<Check, 1> kMmiomtIndex{{{"index", kOperandInvalid, kRcx, "bad MMIOMT index"}}};
/// mmiomt.c, mmiomt_walk().
constexpr std::array<Check, 2> kMmiomtWalk{
    {{"mmiomt", kMmiomtNotPresent, kRcx, "MMIOMT has no table for the address"},
     {"mmiomt_table", kOperandBusy, kRcx, "another leaf takes a table page out"}}};
constexpr auto kMmiomtEntry = join(
    kMmiomtWalk, own({{"mmiomt_entry", kOperandBusy, kRcx, "another leaf has the MMIOMT entry"}}));

constexpr auto kMmiomtAddChecks =
    join(kMmiomtIndex, free_page(kRdx), kMmiomtEntry,
         own({{"present", kMmioInvalidPageMetadata, kRcx, "the entry above is in use"}}));
constexpr auto kMmiomtRemoveChecks =
    join(kMmiomtIndex, kMmiomtEntry,
         own({{"table", kMmioInvalidPageMetadata, kRcx, "no such table"},
              {"busy", kOperandBusy, kRcx, "another leaf has the page"},
              {"empty", kMmioInvalidPageMetadata, kRcx, "the table has entries"}}));
constexpr auto kMmiomtSetChecks = join(
    kMmiomtIndex, kMmiomtEntry,
    own({{"owner", kOperandInvalid, kRdx, "DATA needs a function"},
         {"data", kMmioInvalidPageMetadata, kMmiomt, "the entry names no function, or is mapped"},
         {"used", kMmioInvalidPageMetadata, kMmiomt, "the entry is in use"}}),
    devif(kRdx));
constexpr auto kMmiomtRdChecks = join(kMmiomtIndex, kMmiomtWalk);

constexpr auto kMmioMapChecks = join(
    td(kRdx), kGpa,
    own({{"address", kOperandInvalid, kR8,
          "the address is not aligned to the level, or too wide"}}),
    own({{"tree", kOperandBusy, kSeptTree, "another leaf has the secure EPT"}}), kWalk,
    own({{"entry", kOperandBusy, kRcx, "another leaf has the secure EPT entry"},
         {"state", kEptEntryStateIncorrect, kRcx, "the GPA has an entry"}}),
    kMmiomtEntry,
    own({{"metadata", kMmioInvalidPageMetadata, kRcx, "the page has no owner, or is mapped"}}),
    named_devif(kR8),
    own({{"owner", kMmioDevifOwnerMismatch, kRdx, "the page belongs to another TD's function"}}),
    kOwnIommu, own({{"stream_blocked", kIdeStreamBlocked, kR8, "the IDE stream is blocked"}}));
constexpr auto kMmioBlockChecks = join(
    td(kRdx), kSept, own({{"state", kEptEntryStateIncorrect, kRcx, "no MMIO is mapped here"}}));
constexpr auto kMmioUnmapChecks =
    join(td(kRdx), kSept,
         own({{"state", kEptEntryStateIncorrect, kRcx, "the MMIO entry was not blocked first"},
              {"blocked", kGpaRangeNotBlocked, kRcx, "the range is not blocked",
               "no other entry gets as far"},
              {"tlb", kTlbTrackingNotDone, kRcx,
               "a vCPU may still have a translation from before the block"},
              {"iotlb", kIotlbTrackingNotDone, kRcx,
               "an IOMMU may still have a translation from before the block"}}),
         named_devif(kRcx),
         own({{"unlocked", kTdispInvalidState, kRcx,
               "the TDI was not stopped and its IDE stream is not blocked"}}));

}  // namespace

constinit const Row kDevifmtAdd{.number = 164,
                                .name = "TDH.DEVIFMT.ADD",
                                .detail = {},
                                .fails = "TDH.DEVIFMT.ADD fails",
                                .source = "tdh_devif_mt_add.c",
                                .checks = kDevifmtAddChecks,
                                .effect = "a table page on the way to functions",
                                .differs = {}};
constinit const Row kDevifmtRemove{.number = 165,
                                   .name = "TDH.DEVIFMT.REMOVE",
                                   .detail = {},
                                   .fails = "TDH.DEVIFMT.REMOVE fails",
                                   .source = "tdh_devif_mt_remove.c",
                                   .checks = kDevifmtRemoveChecks,
                                   .effect = "RCX: the table's page",
                                   .differs = {}};
constinit const Row kDevifmtRd{.number = 166,
                               .name = "TDH.DEVIFMT.RD",
                               .detail = {},
                               .fails = "TDH.DEVIFMT.RD fails",
                               .source = "tdh_devif_mt_rd.c",
                               .checks = kDevifmtRdChecks,
                               .effect =
                                   "RCX: the entry with its lock's bits, whoever has it: a table's "
                                   "page, or at level 0 the DEVIFCS page",
                               .differs = {}};
constinit const Row kDevifCreate{
    .number = 137,
    .name = "TDH.DEVIF.CREATE",
    .detail = {},
    .fails = "TDH.DEVIF.CREATE fails",
    .source = "tdh_devif_create.c",
    .checks = kDevifCreateChecks,
    .effect = "UNLOCKED; the hash of the device information of now is what a guest validates",
    .differs = {}};
constinit const Row kDevifRemove{
    .number = 138,
    .name = "TDH.DEVIF.REMOVE",
    .detail = {},
    .fails = "TDH.DEVIF.REMOVE fails",
    .source = "tdh_devif_remove.c",
    .checks = kDevifRemoveChecks,
    .effect =
        "RCX, RDX: the buffers; R8: TDR. A fatal TD's MMIO holds nothing up, and neither does "
        "a request that waits",
    .differs = "R9: the DEVIFCS page, which the source leaves to the host to remember"};
constinit const Row kDevifRequest{
    .number = 139,
    .name = "TDH.DEVIF.REQUEST",
    .detail = {},
    .fails = "TDH.DEVIF.REQUEST fails",
    .source =
        "tdh_devif_request.c, is_valid_tdh_devif_req_in(); tdisp.c, assign_tdisp_header(); "
        "devif.c, generate_tdisp_req_msg()",
    .checks = kDevifRequestChecks,
    .effect =
        "a message for the device, which waits for its answer; a guest's is what it asked for "
        "when it asked",
    .differs = {}};
constinit const Row kDevifResponse{
    .number = 140,
    .name = "TDH.DEVIF.RESPONSE",
    .detail = {},
    .fails = "TDH.DEVIF.RESPONSE fails",
    .source =
        "tdh_devif_response.c; aead.c, tdx_io_aead_decrypt(); tdisp.c, tdisp_process_response()",
    .checks = kDevifResponseChecks,
    .effect =
        "the TDI's state as the device says, or the answer in the guest's buffer. What is "
        "refused leaves the request waiting, and what is not the session's leaves the session "
        "as it was: the right answer is still taken",
    .differs = {}};
constinit const Row kMmiomtAdd{
    .number = 154,
    .name = "TDH.MMIOMT.ADD",
    .detail = {},
    .fails = "TDH.MMIOMT.ADD fails",
    .source = "tdh_mmio_mt_add.c",
    .checks = kMmiomtAddChecks,
    .effect = "a table page of 128 entries, for a quarter of an entry above",
    .differs = {}};
constinit const Row kMmiomtRemove{.number = 157,
                                  .name = "TDH.MMIOMT.REMOVE",
                                  .detail = {},
                                  .fails = "TDH.MMIOMT.REMOVE fails",
                                  .source = "tdh_mmio_mt_remove.c",
                                  .checks = kMmiomtRemoveChecks,
                                  .effect = "RCX: the table's page, as a frame number",
                                  .differs = {}};
constinit const Row kMmiomtSet{
    .number = 155,
    .name = "TDH.MMIOMT.SET",
    .detail = {},
    .fails = "TDH.MMIOMT.SET fails",
    .source = "tdh_mmio_mt_set.c",
    .checks = kMmiomtSetChecks,
    .effect = "DATA of a function, or QNODE again. Nobody asks whose the address is",
    .differs = {}};
constinit const Row kMmiomtRd{.number = 156,
                              .name = "TDH.MMIOMT.RD",
                              .detail = {},
                              .fails = "TDH.MMIOMT.RD fails",
                              .source = "tdh_mmio_mt_rd.c",
                              .checks = kMmiomtRdChecks,
                              .effect = "RCX, RDX, R8, R9: the entry, whoever has its lock",
                              .differs = {}};
constinit const Row kMmioMap{
    .number = 158,
    .name = "TDH.MMIO.MAP",
    .detail = {},
    .fails = "TDH.MMIO.MAP fails",
    .source = "tdh_mmio_map.c",
    .checks = kMmioMapChecks,
    .effect =
        "MMIO_PENDING, until the guest accepts. Nobody asks for the TDI's state, nor whether the "
        "address is RAM: MMIOMT alone decides, and the guest, who names the address that it "
        "accepts",
    .differs = {}};
constinit const Row kMmioBlock{.number = 159,
                               .name = "TDH.MMIO.BLOCK",
                               .detail = {},
                               .fails = "TDH.MMIO.BLOCK fails",
                               .source = "tdh_mmio_block.c",
                               .checks = kMmioBlockChecks,
                               .effect = "MMIO_BLOCKED, in the epoch of now",
                               .differs = {}};
constinit const Row kMmioUnmap{.number = 160,
                               .name = "TDH.MMIO.UNMAP",
                               .detail = {},
                               .fails = "TDH.MMIO.UNMAP fails",
                               .source = "tdh_mmio_unmap.c",
                               .checks = kMmioUnmapChecks,
                               .effect = "the entry is free; R8: the address",
                               .differs = {}};

}  // namespace teeio::tdx::row
