#include "firmware/tdx/shared_checks.h"

// What guests ask. The source of these is the tdxio branch, src/td_dispatcher/vm_exits/tdxio, and
// the tag TDX_1.5.01, src/td_dispatcher/vm_exits.

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

consteval std::array<Check, 1> reserved(Operand o) {
  return {{{"reserved", kOperandInvalid, o, "bits that must be zero are not"}}};
}

constexpr auto kPageAcceptChecks =
    join(kCaller, reserved(kRcx), kGpa, kGuestEntry,
         own({{"size", kPageSizeMismatch, kNumber, "the host mapped smaller pages (its level)"}}),
         kAccepted);
constexpr auto kMmioAcceptChecks = join(
    kCaller, reserved(kRcx), kGpa,
    own({{"handle", kOperandInvalid, kRdx, "the handle is no page of that size"}}), kGuestEntry,
    own({{"size", kMmioAcceptSizeMismatch, kNumber, "the host mapped smaller pages (its level)"}}),
    kAccepted,
    own({{"offset", kMmioInvalidHpaOffset, kRcx,
          "another MMIO page is mapped here than the guest expects"}}));
constexpr auto kDmarAcceptChecks =
    join(kCaller, own({{"reserved", kOperandInvalid, kRdx, "no such VM, or a PASID is named"}}),
         reserved(kR8), reserved(kR9), reserved(kR10), reserved(kR11), reserved(kR12),
         reserved(kR13), reserved(kR14), reserved(kR15), kValidFunction,
         own({{"locked", kTdispInvalidState, kRcx, "the TDI is not locked"},
              {"dmar", kDmarEntryNotPresent, kDmar, "the table above is missing"},
              {"pasid", kOperandInvalid, kDmar, "the function has no such PASID",
               "the walk is for requests without one"},
              {"dmar_table", kOperandBusy, kDmar, "another leaf takes a table page out"},
              {"state", kDmarInvalidMappingState, kDmar, "the entry is free or blocked"}}),
         kEpoch);
constexpr auto kIqInvRequestChecks =
    join(kCaller,
         own({{"count", kOperandInvalid, kRcx, "no descriptors, or more than 128"},
              {"aligned", kOperandInvalid, kRdx, "the GPA is no page's"},
              {"private", kOperandInvalid, kRdx, "the GPA is shared or too wide"},
              {"tdinv", kOperandBusy, kRcx, "what was asked before is in use"}}),
         kHostWaits,
         own({{"active", kGuestInvInProgress, kRax, "what was asked before is not over"},
              {"descriptor", kGuestInvInvalidDesc, kNumber,
               "no invalidation of the TD's IOTLB, and no wait at the end (its index)"},
              {"needed", kGuestInvNotRequired, kRdx, "no device of the TD has DMA (a remark)"}}));
constexpr auto kValidateChecks =
    join(kCaller, kFunction, kOwner,
         own({{"hash", kDevifPkhMismatch, kRdx, "the device is not the one that the guest means"},
              {"already", kDevifAlreadyValid, kRcx, "the device is validated (a remark)"}}));
constexpr auto kRdChecks =
    join(kCaller, reserved(kR9), reserved(kRdx),
         own({{"field", kOperandInvalid, kRdx, "no such field"}}), kValidFunction);
constexpr auto kRequestChecks =
    join(kCaller, reserved(kRdx), reserved(kR9),
         own({{"code", kOperandInvalid, kRdx, "a guest may not ask for this"}}), kValidFunction,
         own({{"error", kTdispErrorState, kRcx, "the TDI is in ERROR"},
              {"slot", kTdispInvalidReqSts, kRcx, "the last request is not over"},
              {"report", kOperandInvalid, kRdx, "the report was read: it is there once a lock"}}));
constexpr auto kRtmrExtendChecks =
    join(kCaller, own({{"alignment", kOperandInvalid, kRcx, "the data is not aligned to 64 bytes"},
                       {"private", kOperandInvalid, kRcx, "the GPA is shared or too wide"},
                       {"index", kOperandInvalid, kRdx, "there are four RTMRs"},
                       {"rtmrs", kOperandBusy, kRtmr, "another vCPU extends or reports"}}));
constexpr auto kReportChecks = join(
    kCaller, own({{"alignment", kOperandInvalid, kRcx, "the report is not aligned to 1024 bytes"},
                  {"alignment", kOperandInvalid, kRdx, "the data is not aligned to 64 bytes"},
                  {"private", kOperandInvalid, kRdx, "the GPA of the data is too wide"},
                  {"subtype", kOperandInvalid, kR8, "no such subtype"},
                  {"rtmrs", kOperandBusy, kRtmr, "another vCPU extends"},
                  {"private", kOperandInvalid, kRcx, "the GPA of the report is too wide"}}));
constexpr auto kVerifyreportChecks = join(
    kCaller, own({{"alignment", kOperandInvalid, kRcx, "the struct is not aligned to 256 bytes"},
                  {"private", kOperandInvalid, kRcx, "the GPA is shared or too wide"},
                  {"mac", kInvalidReportmacstruct, kRax, "this machine made no such report"}}));
constexpr auto kResponseChecks =
    join(kCaller, reserved(kR9),
         own({{"buffer", kOperandInvalid, kRdx, "the buffer is no private page"}}), kValidFunction,
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
constinit const Row kTdgMrRtmrExtend{
    .number = 2,
    .name = "TDG.MR.RTMR.EXTEND",
    .detail = {},
    .fails = {},
    .source = "tdg_mr_rtmr_extend.c",
    .checks = kRtmrExtendChecks,
    .effect =
        "the RTMR is SHA-384 of itself and the data. Data that is not accepted: EPT violation",
    .differs = {}};
constinit const Row kTdgMrReport{
    .number = 4,
    .name = "TDG.MR.REPORT",
    .detail = {},
    .fails = {},
    .source = "tdg_mr_report.c",
    .checks = kReportChecks,
    .effect =
        "TDREPORT_STRUCT: attributes, MRTD, RTMRs, the data, a MAC of the processor's. Pages "
        "that are not accepted: EPT violation",
    .differs =
        "private memory only; never interrupted; the module itself has no measurement and no "
        "SVN, MRCONFIGID and the owner's fields are zero"};
constinit const Row kTdgMrVerifyreport{.number = 22,
                                       .name = "TDG.MR.VERIFYREPORT",
                                       .detail = {},
                                       .fails = {},
                                       .source = "tdg_mr_verifyreport.c",
                                       .checks = kVerifyreportChecks,
                                       .effect = "the report is of a TD of this machine",
                                       .differs = "the machine has one CPUSVN"};
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
constinit const Row kTdgIqInvRequest{
    .number = 72,
    .name = "TDG.IQ.INV.REQUEST",
    .detail = {},
    .fails = {},
    .source = "tdg_iq_inv_request.c",
    .checks = kIqInvRequestChecks,
    .effect =
        "an exit to the host, TDX_IOTLB_INV_REQUEST with how many: it is to queue them for each "
        "IOMMU of the TD's devices. A page that is not accepted: EPT violation",
    .differs = {}};
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
                                .effect = "RCX: the version of TDISP, field 1",
                                .differs = {}};
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
