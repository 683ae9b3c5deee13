#include "firmware/sev/rows.h"
#include "firmware/sev/rows_common.h"

// Commands about the platform. Their buffers are those of Linux include/linux/psp-sev.h and
// include/uapi/linux/psp-sev.h; "sev-dev.c" is drivers/crypto/ccp/sev-dev.c.

namespace teeio::sev {
namespace {

constexpr Check kOwnBuffer{"buffer", Status::kInvalidPageState,
                           "the buffer, which takes the answer, is not the firmware's",
                           "sev-dev.c, snp_prep_cmd_buf()"};
/// Older than SEV_RET_INCORRECT_BUFFER_LENGTH.
constexpr Check kLengthCheck{"says", Status::kInvalidParam, "the buffer says another length",
                             kAspFirmware};
constexpr Check kPlatformStatusChecks[] = {kOwnBuffer};
constexpr Check kGetIdChecks[] = {
    kOwnBuffer,
    {"length", Status::kInvalidLength, "the ID has no room; the buffer says how much it wants",
     "sev-dev.c, sev_ioctl_do_get_id2()"},
    kAddressCheck,
    {"page", Status::kInvalidPageState, "the page is not the firmware's",
     "sev-dev.c, snp_map_cmd_buf_desc()"},
    kSizeCheck};
constexpr Check kSnpPlatformStatusChecks[] = {
    kCrossesCheck,
    kAddressCheck,
    {"page", Status::kInvalidPageState, "the page is not the firmware's, though SNP is initialised",
     "sev-dev.c, sev_ioctl_do_snp_platform_status()"},
    kSizeCheck};
constexpr Check kInitChecks[] = {
    {"reserved", Status::kInvalidParam,
     "a reserved field is not zero, or a feature is wanted that SNP_FEATURE_INFO does not name",
     kAspFirmware},
    {"again", Status::kInvalidPlatformState, "SNP is initialised already", kAspFirmware},
    {"rmp", Status::kRmpInitRequired, "the RMP was never initialised", kAspFirmware},
    {"list", Status::kInvalidParam,
     "a list of ranges comes with an RMP that is not initialised by this command", kAspFirmware},
    {"tio", Status::kInvalidParam, "the firmware has no SEV-TIO"}};
constexpr Check kShutdownChecks[] = {
    {"flush", Status::kDfFlushRequired, "a guest has an ASID, or one was used and not flushed",
     "ASPFW; sev-dev.c, __sev_snp_shutdown_locked()"},
    kLengthCheck,
    kReservedCheck,
    {"x86", Status::kInvalidParam, "x86_snp_shutdown is set without iommu_snp_shutdown",
     kAspFirmware}};
constexpr Check kReclaimChecks[] = {
    {"reserved", Status::kInvalidParam, "one of bits 11:1 is not zero", kAspFirmware},
    kSnpCheck,
    {"address", Status::kInvalidAddress, "there is no such page", kAspFirmware},
    {"size", Status::kInvalidPageSize, "the page has another size in the RMP", kAspFirmware},
    {"aligned", Status::kInvalidAddress, "the page is not the first of its 2 MiB", kAspFirmware},
    {"state", Status::kInvalidPageState, "the page is a guest's context", kAspFirmware}};
constexpr Check kConfigChecks[] = {
    kReservedCheck,
    {"tcb", Status::kInvalidParam, "the reported TCB is newer than the committed one",
     kAspFirmware}};
constexpr Check kCommitChecks[] = {kLengthCheck};
constexpr Check kVlekChecks[] = {
    kLengthCheck,
    {"version", Status::kInvalidParam, "there is no such version of a wrapped hashstick",
     "ASPFW; sev-dev.c, sev_ioctl_do_snp_vlek_load()"},
    kReservedCheck,
    {"address", Status::kInvalidAddress, "there is no such page", kAspFirmware},
    {"tcb", Status::kBadSvn, "the hashstick is of another TCB version than the reported one",
     kAspFirmware},
    {"authentic", Status::kBadMeasurement, "the hashstick is not wrapped for this chip",
     kAspFirmware}};
constexpr Check kFeatureInfoChecks[] = {
    kLengthCheck,
    {"address", Status::kInvalidAddress,
     "the address is no multiple of 4, the answer would cross the end of its page, or there is "
     "no such page",
     kAspFirmware},
    {"page", Status::kInvalidPageState, "the page is not the firmware's, though SNP is initialised",
     kAspFirmware},
    kSizeCheck,
    {"function", Status::kInvalidParam, "there is no such subfunction", kAspFirmware}};

}  // namespace

namespace row {

constinit const Row kPlatformStatus{
    .number = 0x004,
    .name = "SEV_PLATFORM_STATUS",
    .fails = {},
    .length = 12,
    .source = "sev-dev.c, sev_ioctl_do_platform_status(); struct sev_user_data_status",
    .checks = kPlatformStatusChecks,
    .effect =
        "version, state and guests of SEV and SEV-ES, which stay uninitialised, are in the "
        "buffer"};
constinit const Row kGetId{
    .number = 0x00c,
    .name = "SEV_GET_ID",
    .fails = {},
    .length = 12,
    .source = "sev-dev.c, sev_ioctl_do_get_id2(); struct sev_data_get_id",
    .checks = kGetIdChecks,
    .effect = "the chip's ID of 64 bytes is in the page, and its length in the buffer"};
constinit const Row kSnpPlatformStatus{
    .number = 0x083,
    .name = "SNP_PLATFORM_STATUS",
    .fails = {},
    .length = 8,
    .source = "sev-dev.c, sev_ioctl_do_snp_platform_status(); struct sev_user_data_snp_status",
    .checks = kSnpPlatformStatusChecks,
    .effect =
        "version, state, guests from LAUNCH_START on and TCB versions are in the page, which goes "
        "from Firmware to Reclaim",
    .differs = "ASPFW leaves the page Firmware: Reclaim is what Linux says of it"};
constinit const Row kSnpDfFlush{
    .number = 0x084,
    .name = "SNP_DF_FLUSH",
    .fails = "SNP_DF_FLUSH fails",
    .length = 0,
    .source = "arch/x86/kvm/svm/sev.c, sev_flush_asids()",
    .checks = {},
    .effect = "ASIDs that guests have given up may be activated again",
    .differs = "no WBINVD is asked for first (SEV_RET_WBINVD_REQUIRED): there are no caches"};
constinit const Row kSnpInitEx{
    .number = 0x085,
    .name = "SNP_INIT_EX",
    .fails = "SNP_INIT_EX fails",
    .length = 64,
    .source = "sev-dev.c, __sev_snp_init_locked(); struct sev_data_snp_init_ex",
    .checks = kInitChecks,
    .effect = "SNP works, with SEV-TIO if that was asked for",
    .differs =
        "the list of ranges that stay the hypervisor's is not looked at; the RMP is there "
        "from power-on"};
constinit const Row kSnpShutdownEx{
    .number = 0x086,
    .name = "SNP_SHUTDOWN_EX",
    .fails = {},  // no host here shuts down what it runs on
    .length = 8,
    .source =
        "sev-dev.c, __sev_snp_shutdown_locked(); struct sev_data_snp_shutdown_ex; ASPFW, "
        "snp_mcmd_shutdown_common()",
    .checks = kShutdownChecks,
    .effect = "SNP and SEV-TIO are over; with SNP over already nothing is checked or done",
    .differs =
        "the IOMMU and the cores enforce as before (iommu_snp_shutdown, x86_snp_shutdown), and "
        "contexts of guests without an ASID are pages of the firmware's again"};
constinit const Row kSnpPageReclaim{
    .number = 0x0c7,
    .name = "SNP_PAGE_RECLAIM",
    .fails = "SNP_PAGE_RECLAIM fails",
    .length = 8,
    .source =
        "sev-dev.c, snp_reclaim_pages(); struct sev_data_snp_page_reclaim; ASPFW, "
        "snp_mcmd_page_reclaim()",
    .checks = kReclaimChecks,
    .effect =
        "a page of the firmware's is Reclaim, and a Pre-Guest one Guest-Invalid: RMPUPDATE makes "
        "either the host's. One that is not immutable stays what it is"};
constinit const Row kSnpConfig{
    .number = 0x0c9,
    .name = "SNP_CONFIG",
    .fails = "SNP_CONFIG fails",
    .length = 64,
    .source = "sev-dev.c, sev_ioctl_do_snp_set_config(); struct sev_user_data_snp_config",
    .checks = kConfigChecks,
    .effect =
        "the TCB version that reports name, and by which the VCEK is chosen, 0 being the "
        "committed one; whether reports have the chip's ID, and whether they are signed"};
constinit const Row kSnpCommit{
    .number = 0x0cb,
    .name = "SNP_COMMIT",
    .fails = "SNP_COMMIT fails",
    .length = 4,
    .source = "sev-dev.c, sev_ioctl_do_snp_commit(); struct sev_data_snp_commit",
    .checks = kCommitChecks,
    .effect =
        "the current firmware and its TCB version are the committed ones, which they are "
        "from power-on: no firmware is downloaded here"};
constinit const Row kSnpVlekLoad{
    .number = 0x0cd,
    .name = "SNP_VLEK_LOAD",
    .fails = {},
    .length = 16,
    .source = "sev-dev.c, sev_ioctl_do_snp_vlek_load(); struct sev_user_data_snp_vlek_load",
    .checks = kVlekChecks,
    .effect = "never reached: AMD alone wraps hashsticks, and no chip of AMD's is here"};
constinit const Row kSnpFeatureInfo{
    .number = 0x0ce,
    .name = "SNP_FEATURE_INFO",
    .fails = {},
    .length = 16,
    .source = "sev-dev.c, snp_get_platform_data(); struct sev_data_snp_feature_info",
    .checks = kFeatureInfoChecks,
    .effect = "features as CPUID has them: EBX bit 1 is SEV-TIO",
    .differs = "the subfunction that names guest messages (1) is not there"};

}  // namespace row

}  // namespace teeio::sev
