#include "firmware/tdx/shared_checks.h"

// What guests ask. The source of these is the tdxio branch, src/td_dispatcher/vm_exits/tdxio, and
// the tag TDX_1.5.01, src/td_dispatcher/vm_exits. Registers that must be zero are not there.

namespace teeio::tdx::row {
namespace {

using enum Code;
using enum Operand;

/// The model's own: a TDCALL comes from a vCPU that runs, here also from one that just did.
constexpr std::array<Check, 3> kCaller{
    {{"vcpu", kVcpuStateIncorrect, kTdvpr, "the vCPU is not in its TD"},
     {"busy", kOperandBusy, kTdvpr, "the vCPU is in use"},
     {"fatal", kTdFatal, kRax, "the TD met a fatal error"}}};
constexpr std::array<Check, 1> kHostWaits{
    {{"host_waits", kBusyHostPriority, kRcx, "the host waits for this lock"}}};
/// tdx_locks.h, sept_lock_acquire_guest().
constexpr auto kGuestEntry =
    join(own({{"entry", kOperandBusy, kRcx, "another leaf has the secure EPT entry"}}), kHostWaits);
constexpr std::array<Check, 1> kAccepted{
    {{"accepted", kPageAlreadyAccepted, kNumber, "the page is accepted (a remark; its level)"}}};
/// devifmt.c, tdg_devifmt_get_devifcs().
constexpr auto kFunction =
    join(function_id(kRcx), devifmt_walk(kRcx), devif_busy(kRcx), kHostWaits, no_devif(kRcx));
constexpr std::array<Check, 1> kValid{
    {{"valid", kDevifInvalidState, kRcx, "the guest has not validated the device"}}};
constexpr std::array<Check, 1> kOwner{
    {{"owner", kDevifInvalidMetadata, kRcx, "the function is another TD's"}}};
constexpr auto kValidFunction = join(kFunction, kValid, kOwner);

constexpr auto kPageAcceptChecks =
    join(kCaller, kGpa, kGuestEntry,
         own({{"size", kPageSizeMismatch, kNumber, "the host mapped smaller pages (its level)"}}),
         kAccepted);
constexpr auto kMmioAcceptChecks = join(
    kCaller, kGpa, own({{"handle", kOperandInvalid, kRdx, "the handle is no page of that size"}}),
    kGuestEntry,
    own({{"size", kMmioAcceptSizeMismatch, kNumber, "the host mapped smaller pages (its level)"}}),
    kAccepted,
    own({{"offset", kMmioInvalidHpaOffset, kRcx,
          "another MMIO page is mapped here than the guest expects"}}));
constexpr auto kDmarAcceptChecks =
    join(kCaller, kValidFunction,
         own({{"locked", kTdispInvalidState, kRcx, "the TDI is not locked"},
              {"dmar", kDmarEntryNotPresent, kDmar, "the table above is missing"},
              {"pasid", kOperandInvalid, kDmar, "the function has no such PASID",
               "the walk is for requests without one"},
              {"dmar_table", kOperandBusy, kDmar, "another leaf takes a table page out"},
              {"state", kDmarInvalidMappingState, kDmar, "the entry is free or blocked"}}),
         kEpoch);
constexpr auto kValidateChecks =
    join(kCaller, kFunction, kOwner,
         own({{"hash", kDevifPkhMismatch, kRdx, "the device is not the one that the guest means"},
              {"already", kDevifAlreadyValid, kRcx, "the device is validated (a remark)"}}));
constexpr auto kRdChecks =
    join(kCaller, own({{"field", kOperandInvalid, kRdx, "no such field"}}), kValidFunction);
constexpr auto kRequestChecks = join(
    kCaller, own({{"code", kOperandInvalid, kRdx, "a guest may not ask for this"}}), kValidFunction,
    own({{"error", kTdispErrorState, kRcx, "the TDI is in ERROR"},
         {"slot", kTdispInvalidReqSts, kRcx, "the last request is not over"},
         {"report", kOperandInvalid, kRdx, "the report was read: it is there once a lock"}}));
constexpr auto kResponseChecks =
    join(kCaller, own({{"buffer", kOperandInvalid, kRdx, "the buffer is no private page"}}),
         kValidFunction,
         own({{"slot", kTdispInvalidReqSts, kRcx, "no answer is there"},
              {"header", kTdispInvalidMessage, kRcx, "the answer is not the function's"},
              {"for_vmm", kOperandInvalid, kRcx, "the answer was for the VMM"},
              {"message", kTdispInvalidMessage, kRcx, "no answer that a guest could have"},
              {"configuration", kDevifInvalidTdiConfiguration, kRcx,
               "the report shows what no guest may take"}}));

}  // namespace

constinit const Row kTdgVpInfo{.number = 1,
                               .name = "TDG.VP.INFO",
                               .detail = {},
                               .fails = {},
                               .source = "tdg_vp_info.c",
                               .checks = kCaller,
                               .effect =
                                   "RCX: width of addresses, RDX: attributes, R8: vCPUs and "
                                   "their maximum, R9: this one's index, R10: 1",
                               .differs = {}};
constinit const Row kTdgMemPageAccept{
    .number = 6,
    .name = "TDG.MEM.PAGE.ACCEPT",
    .detail = {},
    .fails = {},
    .source = "tdg_mem_page_accept.c, check_tdaccept_failure()",
    .checks = kPageAcceptChecks,
    .effect =
        "MAPPED, zeroed. Where nothing is, or something blocked, or a larger page that is not "
        "accepted: EPT violation, an exit to the host. 2 MiB are interruptible",
    .differs = {}};
constinit const Row kTdgMmioAccept{
    .number = 71,
    .name = "TDG.MMIO.ACCEPT",
    .detail = {},
    .fails = {},
    .source = "tdg_mmio_accept.c",
    .checks = kMmioAcceptChecks,
    .effect = "MMIO_MAPPED; EPT violations as with memory. Nobody asks for the TDI's state",
    .differs = {}};
constinit const Row kTdgDmarAccept{
    .number = 70,
    .name = "TDG.DMAR.ACCEPT",
    .detail = {},
    .fails = {},
    .source = "tdg_dmar_accept.c",
    .checks = kDmarAcceptChecks,
    .effect =
        "PRESENT: the function's DMA goes through the TD's secure EPT. Again on PRESENT: "
        "nothing changes",
    .differs = "no nested VMs"};
constinit const Row kTdgDevifValidate{.number = 66,
                                      .name = "TDG.DEVIF.VALIDATE",
                                      .detail = {},
                                      .fails = {},
                                      .source = "tdg_devif_validate.c",
                                      .checks = kValidateChecks,
                                      .effect = "the guest trusts the device, in whatever state",
                                      .differs = {}};
constinit const Row kTdgDevifRd{.number = 67,
                                .name = "TDG.DEVIF.RD",
                                .detail = {},
                                .fails = {},
                                .source = "tdg_devif_rd.c",
                                .checks = kRdChecks,
                                .effect = "RCX: the field",
                                .differs =
                                    "field 2 is the TDI's state; the source has field 1, the "
                                    "version, only"};
constinit const Row kTdgDevifRequest{
    .number = 68,
    .name = "TDG.DEVIF.REQUEST",
    .detail = {},
    .fails = {},
    .source = "tdg_devif_request.c; tdisp.c, assign_tdisp_header()",
    .checks = kRequestChecks,
    .effect =
        "the message is made now, START with the nonce of now; the host must be asked to "
        "relay it",
    .differs = {}};
constinit const Row kTdgDevifResponse{
    .number = 69,
    .name = "TDG.DEVIF.RESPONSE",
    .detail = {},
    .fails = {},
    .source = "tdg_devif_response.c; tdisp.c, tdisp_process_response()",
    .checks = kResponseChecks,
    .effect =
        "the TDI's state, or a portion of the report, is the guest's. A buffer that is not "
        "accepted: EPT violation, before all of the function's checks. A bad answer stays",
    .differs = {}};

}  // namespace teeio::tdx::row
