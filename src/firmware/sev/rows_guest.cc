#include "firmware/sev/rows.h"
#include "firmware/sev/rows_common.h"

// Commands about guests. "sev.c" is Linux arch/x86/kvm/svm/sev.c; structs are those of
// include/linux/psp-sev.h.

namespace teeio::sev {
namespace {

constexpr Check kGuest{"guest", Status::kInvalidGuest, "the page is no guest's context"};
constexpr Check kFirmwarePage{"page", Status::kInvalidPageState, "the page is not the firmware's",
                              "sev-dev.c, snp_alloc_firmware_page()"};
constexpr Check kInLaunch{"launch", Status::kInvalidGuestState, "the guest is not in launch"};

constexpr Check kDecommissionChecks[] = {
    kSnpCheck, kGuest, {"bound", Status::kInUse, "TDIs are bound to the guest"}};
constexpr Check kActivateChecks[] = {
    kSnpCheck,
    kGuest,
    {"launched", Status::kInvalidGuestState, "the guest's launch has not begun"},
    {"active", Status::kActive, "the guest has an ASID"},
    {"asid", Status::kInvalidAsid, "there is no such ASID"},
    {"owned", Status::kAsidOwned, "the ASID is another guest's"},
    {"flush", Status::kDfFlushRequired, "the ASID was used and not flushed",
     "sev.c, __sev_recycle_asids()"}};
constexpr Check kGuestStatusChecks[] = {kSnpCheck, kGuest, kAddressCheck, kFirmwarePage,
                                        kSizeCheck};
constexpr Check kGctxCreateChecks[] = {kSnpCheck, kAddressCheck, kFirmwarePage, kSizeCheck};
constexpr Check kGuestRequestChecks[] = {
    kSnpCheck,
    kGuest,
    {"launched", Status::kInvalidGuestState, "the guest's launch has not begun"},
    {"request_page", Status::kInvalidAddress, "the request page is not there"},
    {"response_page", Status::kInvalidPageState, "the response page is not the firmware's",
     "sev.c, snp_guest_req_init()"},
    kSizeCheck,
    {"header", Status::kInvalidParam, "the message's header is wrong"},
    {"overflow", Status::kAeadOverflow, "the key's sequence numbers are used up"},
    {"sequence", Status::kInvalidParam, "the message has not the next sequence number"},
    {"authentic", Status::kBadMeasurement, "the message is not the guest's"},
    {"message", Status::kInvalidParam, "there is no such guest message"}};
constexpr Check kLaunchStartChecks[] = {
    kSnpCheck,
    kGuest,
    {"state", Status::kInvalidGuestState, "the guest is launched already"},
    kReservedCheck,
    {"agent", Status::kUnsupported, "no migration agent, no incoming image"},
    {"policy_one", Status::kPolicyFailure, "bit 17 of the policy must be one",
     "SNP_POLICY_MASK_RSVD_MBO"},
    {"policy_abi", Status::kPolicyFailure, "the policy wants a newer ABI"},
    {"policy_feature", Status::kPolicyFailure,
     "the policy has a reserved bit, or asks for what SNP_FEATURE_INFO does not name",
     "sev-dev.c, sev_get_snp_policy_bits()"}};
constexpr Check kLaunchUpdateChecks[] = {
    kSnpCheck,
    kGuest,
    kInLaunch,
    {"inactive", Status::kInactive, "the guest has no ASID"},
    kReservedCheck,
    {"type", Status::kInvalidParam, "there is no such page type"},
    {"incoming", Status::kUnsupported, "no incoming image"},
    kAddressCheck,
    {"state", Status::kInvalidPageState, "the page is not Pre-Guest",
     "sev.c, sev_gmem_post_populate()"},
    {"owner", Status::kInvalidPageOwner, "the page is another guest's"},
    {"size", Status::kInvalidPageSize, "the page has another size in the RMP, or is one of 2 MiB"},
    {"cpuid", Status::kInvalidParam, "the CPUID page counts too many functions",
     "sev.c, sev_gmem_post_populate(): a CPUID page may be refused so"}};
constexpr Check kLaunchFinishChecks[] = {
    kSnpCheck,
    kGuest,
    kInLaunch,
    {"id_block", Status::kUnsupported, "an ID block is not modelled"},
    kReservedCheck};

}  // namespace

namespace row {

constinit const Row kSnpDecommission{
    .number = 0x090,
    .name = "SNP_DECOMMISSION",
    .fails = "SNP_DECOMMISSION fails",
    .length = 8,
    .says_length = false,
    .source = "sev.c, snp_decommission_context(); struct sev_data_snp_addr",
    .checks = kDecommissionChecks,
    .effect = "the context page is one of the firmware's again; the ASID waits for a flush"};
constinit const Row kSnpActivate{.number = 0x091,
                                 .name = "SNP_ACTIVATE",
                                 .fails = "SNP_ACTIVATE fails",
                                 .length = 12,
                                 .says_length = false,
                                 .source = "sev.c, snp_bind_asid(); struct sev_data_snp_activate",
                                 .checks = kActivateChecks,
                                 .effect = "the ASID is the guest's"};
constinit const Row kSnpGuestStatus{
    .number = 0x092,
    .name = "SNP_GUEST_STATUS",
    .fails = {},
    .length = 16,
    .says_length = false,
    .source = "struct sev_data_snp_guest_status; Linux does not issue it",
    .checks = kGuestStatusChecks,
    .effect = "policy, ASID and state of the guest are in the page"};
constinit const Row kSnpGctxCreate{
    .number = 0x093,
    .name = "SNP_GCTX_CREATE",
    .fails = "SNP_GCTX_CREATE fails",
    .length = 8,
    .says_length = false,
    .source = "sev.c, snp_context_create(); struct sev_data_snp_addr",
    .checks = kGctxCreateChecks,
    .effect = "the page becomes a guest's context"};
constinit const Row kSnpGuestRequest{
    .number = 0x094,
    .name = "SNP_GUEST_REQUEST",
    .fails = {},
    .length = 24,
    .says_length = false,
    .source = "sev.c, snp_handle_guest_req(); struct sev_data_snp_guest_request",
    .checks = kGuestRequestChecks,
    .effect =
        "MSG_REPORT_REQ is answered with an attestation report, version 2, that the chip's "
        "VCEK has signed. The answer's own status is 16h for a VMPL above the guest's own or a "
        "reserved byte, and 27h for the VLEK, which there is not, or for the VCEK when "
        "SNP_LAUNCH_FINISH has taken it from the guest",
    .differs = "derived keys, migration and TSC messages are refused by the last check"};
constinit const Row kSnpLaunchStart{
    .number = 0x0a0,
    .name = "SNP_LAUNCH_START",
    .fails = "SNP_LAUNCH_START fails",
    .length = 48,
    .says_length = false,
    .source = "sev.c, snp_launch_start(); struct sev_data_snp_launch_start",
    .checks = kLaunchStartChecks,
    .effect = "the guest is in launch, with message keys, a report ID and an empty digest"};
constinit const Row kSnpLaunchUpdate{
    .number = 0x0a1,
    .name = "SNP_LAUNCH_UPDATE",
    .fails = "SNP_LAUNCH_UPDATE fails",
    .length = 32,
    .says_length = false,
    .source =
        "sev.c, sev_gmem_post_populate(), snp_launch_update_vmsa(); struct "
        "sev_data_snp_launch_update",
    .checks = kLaunchUpdateChecks,
    .effect = "the page is measured and Guest-Valid; one of secrets is filled",
    .differs = "the functions of a CPUID page are not judged: there is no table to compare with"};
constinit const Row kSnpLaunchFinish{
    .number = 0x0a2,
    .name = "SNP_LAUNCH_FINISH",
    .fails = "SNP_LAUNCH_FINISH fails",
    .length = 64,
    .says_length = false,
    .source = "sev.c, snp_launch_finish(); struct sev_data_snp_launch_finish",
    .checks = kLaunchFinishChecks,
    .effect = "the guest runs; its host data is in reports, and it may be denied the VCEK"};

}  // namespace row

std::span<const Row* const> rows() {
  static constexpr const Row* kRows[] = {
      &row::kPlatformStatus,  &row::kGetId,           &row::kSnpPlatformStatus,
      &row::kSnpDfFlush,      &row::kSnpInitEx,       &row::kSnpShutdownEx,
      &row::kSnpDecommission, &row::kSnpActivate,     &row::kSnpGuestStatus,
      &row::kSnpGctxCreate,   &row::kSnpGuestRequest, &row::kSnpLaunchStart,
      &row::kSnpLaunchUpdate, &row::kSnpLaunchFinish, &row::kSnpPageReclaim,
      &row::kSnpConfig,       &row::kSnpCommit,       &row::kSnpVlekLoad,
      &row::kSnpFeatureInfo};
  return kRows;
}

}  // namespace teeio::sev
