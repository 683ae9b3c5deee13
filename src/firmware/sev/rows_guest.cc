#include "firmware/sev/rows.h"
#include "firmware/sev/rows_common.h"

// Commands about guests. "sev.c" is Linux arch/x86/kvm/svm/sev.c; structs are those of
// include/linux/psp-sev.h.

namespace teeio::sev {
namespace {

constexpr Check kGuest{"guest", Status::kInvalidGuest, "the page is no guest's context",
                       kAspFirmware};
constexpr Check kFirmwarePage{"page", Status::kInvalidPageState, "the page is not the firmware's",
                              "ASPFW; sev-dev.c, snp_alloc_firmware_page()"};
constexpr Check kInLaunch{"launch", Status::kInvalidGuestState, "the guest is not in launch",
                          kAspFirmware};
constexpr Check kInactive{"inactive", Status::kInactive, "the guest has no ASID", kAspFirmware};

constexpr Check kDecommissionChecks[] = {
    kAddressBitsCheck, kSnpCheck, kGuest, {"bound", Status::kInUse, "TDIs are bound to the guest"}};
constexpr Check kActivateChecks[] = {
    kAddressBitsCheck,
    kSnpCheck,
    kGuest,
    {"launched", Status::kInvalidGuestState, "the guest's launch has not begun", kAspFirmware},
    {"pages", Status::kInvalidConfig, "pages are assigned to the ASID", kAspFirmware},
    {"asid", Status::kInvalidAsid, "there is no such ASID", kAspFirmware},
    {"owned", Status::kAsidOwned, "the ASID is a guest's", kAspFirmware},
    {"active", Status::kActive, "the guest has an ASID", kAspFirmware},
    {"flush", Status::kDfFlushRequired, "the ASID was used and not flushed",
     "ASPFW; sev.c, __sev_recycle_asids()"}};
constexpr Check kGuestStatusChecks[] = {kAddressBitsCheck, kCrossesCheck, kSnpCheck, kGuest,
                                        kAddressCheck,     kFirmwarePage, kSizeCheck};
constexpr Check kGctxCreateChecks[] = {
    kAddressBitsCheck,
    kSnpCheck,
    kAddressCheck,
    kFirmwarePage,
    {"size", Status::kInvalidPageSize, "the page lies in an RMP entry of 2 MiB", kAspFirmware},
    {"mmio", Status::kInvalidConfig, "the page is MMIO", kAspFirmware}};
constexpr Check kGuestRequestChecks[] = {
    kAddressBitsCheck,
    kSnpCheck,
    kGuest,
    {"response_page", Status::kInvalidPageState, "the response page is not the firmware's",
     "ASPFW; sev.c, snp_guest_req_init()"},
    {"size", Status::kInvalidPageSize, "one of the two pages lies in an RMP entry of 2 MiB",
     kAspFirmware},
    {"running", Status::kInvalidGuestState, "the guest's launch has not ended", kAspFirmware},
    {"request_page", Status::kInvalidAddress, "the request page is not there", kAspFirmware},
    {"header", Status::kInvalidParam,
     "the message's header is wrong, or its length is 0, no multiple of 16, or beyond the page",
     kAspFirmware},
    {"authentic", Status::kBadMeasurement, "the message is not the guest's", kAspFirmware},
    {"overflow", Status::kAeadOverflow, "the key's sequence numbers are used up", kAspFirmware},
    {"sequence", Status::kAeadOverflow, "the message has not the next sequence number",
     kAspFirmware},
    {"message", Status::kInvalidParam, "there is no such guest message", kAspFirmware}};
constexpr Check kLaunchStartChecks[] = {
    kAddressBitsCheck,
    kSnpCheck,
    kGuest,
    {"state", Status::kInvalidGuestState, "the guest is launched already", kAspFirmware},
    {"agent", Status::kInvalidGuest, "the migration agent is no guest's context", kAspFirmware},
    {"policy_agent", Status::kPolicyFailure,
     "an agent that the policy does not allow, that has an agent itself, or that may move between "
     "sockets where the guest may not",
     kAspFirmware},
    {"policy_one", Status::kPolicyFailure, "bit 17 of the policy must be one",
     "ASPFW; SNP_POLICY_MASK_RSVD_MBO"},
    {"policy_abi", Status::kPolicyFailure, "the policy wants a newer ABI", kAspFirmware},
    {"policy_feature", Status::kPolicyFailure,
     "the policy has a reserved bit, or asks for what SNP_FEATURE_INFO does not name",
     "ASPFW; sev-dev.c, sev_get_snp_policy_bits()"},
    {"incoming", Status::kUnsupported, "no incoming image"}};
constexpr Check kLaunchUpdateChecks[] = {
    kAddressBitsCheck,
    kSnpCheck,
    kGuest,
    {"state", Status::kInvalidPageState, "the page is not Pre-Guest",
     "ASPFW; sev.c, sev_gmem_post_populate()"},
    {"size", Status::kInvalidPageSize, "the page has another size in the RMP, or is one of 2 MiB",
     kAspFirmware},
    {"type", Status::kInvalidParam, "there is no such page type", kAspFirmware},
    kInLaunch,
    kInactive,
    {"owner", Status::kInvalidPageOwner, "the page is another guest's", kAspFirmware},
    {"incoming", Status::kUnsupported, "no incoming image"},
    {"address", Status::kInvalidAddress, "the page is not memory"},
    {"cpuid", Status::kInvalidParam,
     "the CPUID page counts too many functions, or a reserved field of it is not zero",
     "ASPFW; sev.c, sev_gmem_post_populate(): a CPUID page may be refused so"}};
constexpr Check kLaunchFinishChecks[] = {
    kAddressBitsCheck,
    kSnpCheck,
    kGuest,
    kInLaunch,
    kInactive,
    {"id_address", Status::kInvalidAddress, "the ID block or its authentication is not there",
     "ASPFW; copy_from_x86()"},
    {"id_digest", Status::kBadMeasurement, "the ID block expects another launch", kAspFirmware},
    {"id_policy", Status::kPolicyFailure, "the ID block has another policy", kAspFirmware},
    {"id_algorithm", Status::kInvalidParam,
     "the ID key's or the author's key's algorithm is not P-384 with SHA-384", kAspFirmware},
    {"id_key", Status::kBadSignature, "the ID key is no point of P-384", kAspFirmware},
    {"id_signature", Status::kBadSignature, "the ID key did not sign the ID block", kAspFirmware},
    {"author_key", Status::kBadSignature, "the author's key is no point of P-384", kAspFirmware},
    {"author_signature", Status::kBadSignature, "the author's key did not sign the ID key",
     kAspFirmware}};

}  // namespace

namespace row {

constinit const Row kSnpDecommission{
    .number = 0x090,
    .name = "SNP_DECOMMISSION",
    .fails = "SNP_DECOMMISSION fails",
    .length = 8,
    .source =
        "sev.c, snp_decommission_context(); struct sev_data_snp_addr; ASPFW, "
        "snp_mcmd_decommission()",
    .checks = kDecommissionChecks,
    .effect =
        "the context page is one of the firmware's again; the ASID waits for a flush if the "
        "guest's launch had ended"};
constinit const Row kSnpActivate{
    .number = 0x091,
    .name = "SNP_ACTIVATE",
    .fails = "SNP_ACTIVATE fails",
    .length = 12,
    .source = "sev.c, snp_bind_asid(); struct sev_data_snp_activate; ASPFW, snp_mcmd_activate()",
    .checks = kActivateChecks,
    .effect = "the ASID is the guest's"};
constinit const Row kSnpGuestStatus{
    .number = 0x092,
    .name = "SNP_GUEST_STATUS",
    .fails = {},
    .length = 16,
    .source =
        "struct sev_data_snp_guest_status; ASPFW, snp_mcmd_guest_status(); Linux does not issue it",
    .checks = kGuestStatusChecks,
    .effect =
        "policy, ASID and state of the guest are in the page, and whether it may have the VCEK"};
constinit const Row kSnpGctxCreate{
    .number = 0x093,
    .name = "SNP_GCTX_CREATE",
    .fails = "SNP_GCTX_CREATE fails",
    .length = 8,
    .source =
        "sev.c, snp_context_create(); struct sev_data_snp_addr; ASPFW, snp_mcmd_gctx_create()",
    .checks = kGctxCreateChecks,
    .effect = "the page becomes a guest's context"};
constinit const Row kSnpGuestRequest{
    .number = 0x094,
    .name = "SNP_GUEST_REQUEST",
    .fails = {},
    .length = 24,
    .source =
        "sev.c, snp_handle_guest_req(); struct sev_data_snp_guest_request; ASPFW, "
        "snp_mcmd_guest_request()",
    .checks = kGuestRequestChecks,
    .effect =
        "MSG_REPORT_REQ is answered with an attestation report, version 2, that the chip's "
        "VCEK has signed; only an answer uses sequence numbers up, two. The answer's own status is "
        "16h for a reserved byte, then 27h for the VLEK, which there is not, or for the VCEK when "
        "SNP_LAUNCH_FINISH has taken it from the guest, then 16h for a VMPL above the guest's own",
    .differs =
        "derived keys, migration and TSC messages are refused by the last check; a VMPL above 3 "
        "is refused"};
constinit const Row kSnpLaunchStart{
    .number = 0x0a0,
    .name = "SNP_LAUNCH_START",
    .fails = "SNP_LAUNCH_START fails",
    .length = 48,
    .source =
        "sev.c, snp_launch_start(); struct sev_data_snp_launch_start; ASPFW, "
        "snp_mcmd_launch_start()",
    .checks = kLaunchStartChecks,
    .effect =
        "the guest is in launch, with message keys, a report ID and an empty digest, and a "
        "migration "
        "agent's report ID in its reports; the hypervisor's OS-visible workarounds will be in its "
        "secrets page",
    .differs = "no processor here has SMT, which a policy may forbid"};
constinit const Row kSnpLaunchUpdate{
    .number = 0x0a1,
    .name = "SNP_LAUNCH_UPDATE",
    .fails = "SNP_LAUNCH_UPDATE fails",
    .length = 32,
    .source =
        "sev.c, sev_gmem_post_populate(), snp_launch_update_vmsa(); struct "
        "sev_data_snp_launch_update; ASPFW, snp_mcmd_launch_update()",
    .checks = kLaunchUpdateChecks,
    .effect = "the page is measured and Guest-Valid; one of secrets is filled",
    .differs = "the functions of a CPUID page are not judged: there is no table to compare with"};
constinit const Row kSnpLaunchFinish{
    .number = 0x0a2,
    .name = "SNP_LAUNCH_FINISH",
    .fails = "SNP_LAUNCH_FINISH fails",
    .length = 64,
    .source =
        "sev.c, snp_launch_finish(); struct sev_data_snp_launch_finish; ASPFW, "
        "snp_mcmd_launch_finish()",
    .checks = kLaunchFinishChecks,
    .effect =
        "the guest runs; its host data is in reports, and what the ID block says, with the digests "
        "of the ID key and of the author's; it may be denied the VCEK. A good ID block whose "
        "author's key is refused stays, also when the next try has none"};

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
