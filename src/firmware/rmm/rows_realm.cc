#include "firmware/rmm/rows.h"
#include "firmware/rmm/shared_checks.h"

// Granules, realms, RECs and the realm's own calls: TF-RMM 9a7f8ef46378,
// runtime/rmi/{granule,realm,rec,run}.c, runtime/rsi/{vdev,memory}.c.

namespace teeio::rmm::row {
namespace {

constexpr Check kRange{"range", Code::kInput, "the range is empty or not aligned"};
constexpr Check kRd{"rd", Code::kInput, "the granule is no realm"};

constexpr Check kDelegateChecks[] = {
    kRange, {"granule", Code::kInput, "there is no such granule, or it is not the host's"}};
constexpr Check kUndelegateChecks[] = {
    kRange, {"granule", Code::kInput, "there is no such granule, or it is not DELEGATED"}};

constexpr Check kRealmCreateChecks[] = {
    {"da", Code::kInput, "device assignment is wanted, and the monitor has none"},
    {"hash", Code::kInput, "the measurements' hash is neither SHA-256, SHA-384 nor SHA-512"},
    {"vmid", Code::kGlobal, "the monitor has no VMID left"},
    {"rtt", Code::kInput, "the root table's granule is not DELEGATED"},
    {"granule", Code::kInput, "the realm's granule is not DELEGATED"}};
constexpr Check kRealmActivateChecks[] = {kRd, {"state", Code::kRealm, "the realm is not NEW"}};
constexpr Check kRealmTerminateChecks[] = {kRd, {"running", Code::kRealm, "a REC is running"}};
constexpr Check kRealmDestroyChecks[] = {
    kRd,
    {"recs", Code::kRealm, "the realm has RECs"},
    {"state", Code::kRealm, "the realm was not terminated"},
    {"rtt", Code::kRealm, "the realm's root table has something below it"},
    {"vdevs", Code::kRealm, "the realm has VDEVs"}};

constexpr Check kRecCreateChecks[] = {
    {"granule", Code::kInput, "the REC's granule is not DELEGATED"},
    kReserve,
    // At OP_CONTINUE, when the memory is there.
    {"params", Code::kInput, "at OP_CONTINUE: the parameters' page is not the host's"},
    {"rd", Code::kInput, "at OP_CONTINUE: the granule is no realm"},
    {"state", Code::kRealm, "at OP_CONTINUE: the realm is not NEW"},
    {"mpidr", Code::kInput, "at OP_CONTINUE: the MPIDR is not that of the realm's next REC"}};
constexpr Check kRecDestroyChecks[] = {kReserve,
                                       {"rec", Code::kInput, "the granule is no REC"},
                                       {"running", Code::kRec, "the REC is running"}};
constexpr Check kRecEnterChecks[] = {
    {"run", Code::kInput, "the run page is not the host's"},
    {"rec", Code::kInput, "the granule is no REC"},
    {"running", Code::kRec, "the REC is running"},
    {"state", Code::kRealm, "the realm is not ACTIVE"},
    {"runnable", Code::kRec, "the REC is off"},
    {"psci", Code::kRec, "a call of PSCI's waits for RMI_PSCI_COMPLETE"},
    {"sea", Code::kRec, "an abort is injected for which the realm has not left"},
    {"mmio", Code::kRec, "an access is emulated that the realm has not left for"}};

constexpr Check kRsiNoDevices{"da", Code::kRealm, "without device assignment"};

constexpr Check kGetInfoChecks[] = {
    kRsiNoDevices,
    {"aligned", Code::kInput, "the address is not aligned to 512 bytes"},
    {"protected", Code::kInput, "the address is not protected"},
    {"complete", Code::kInput, "the host names no VDEV"},
    {"memory", Code::kInput, "the page is not the realm's RAM"},
    {"gone", Code::kInput, "the VDEV is gone, another realm's or another id"}};
constexpr Check kValidateMappingChecks[] = {
    kRsiNoDevices,
    {"range", Code::kInput, "the range or the address is empty, not aligned or not protected"},
    {"complete", Code::kInput, "the host names no VDEV"},
    {"gone", Code::kInput, "the VDEV is gone"},
    {"state", Code::kInput, "the VDEV is not LOCKED or STARTED"},
    {"nonce", Code::kDevice, "lock, measurements or report are newer"}};
constexpr Check kDmaEnableChecks[] = {
    kRsiNoDevices,
    {"complete", Code::kInput, "the host names no VDEV"},
    {"gone", Code::kInput, "the VDEV is gone"},
    {"state", Code::kDevice, "the VDEV is not STARTED"},
    {"nonce", Code::kDevice, "lock, measurements or report are newer"}};
constexpr Check kDmaDisableChecks[] = {kRsiNoDevices,
                                       {"complete", Code::kInput, "the host names no VDEV"},
                                       {"gone", Code::kInput, "the VDEV is gone"}};
constexpr Check kIpaStateSetChecks[] = {
    {"ripas", Code::kInput, "not EMPTY or RAM"},
    {"range", Code::kInput, "the range is empty, not aligned or not protected"}};

constexpr Check kVersionChecks[] = {{"version", Code::kInput, "neither 1.0 nor 1.1"}};
constexpr Check kMeasurementReadChecks[] = {{"slot", Code::kInput, "there are five"}};
constexpr Check kMeasurementExtendChecks[] = {
    {"slot", Code::kInput, "the initial measurement, or there is no such one"},
    {"size", Code::kInput, "the value is longer than 64 bytes"}};
constexpr Check kAttestTokenContinueChecks[] = {
    {"range", Code::kInput, "the address is not aligned, or the bytes go beyond its page"},
    {"protected", Code::kInput, "the address is not protected"},
    {"state", Code::kRealm, "no token was begun, or all of it was given"},
    {"memory", Code::kInput, "the page is not the realm's RAM"}};
constexpr Check kRealmConfigChecks[] = {
    {"aligned", Code::kInput, "the address is no protected page"},
    {"memory", Code::kInput, "the page is not the realm's RAM"}};
constexpr Check kIpaStateGetChecks[] = {
    {"range", Code::kInput, "the range is empty, not aligned or not protected"}};
constexpr Check kHostCallChecks[] = {
    {"aligned", Code::kInput, "the address is not aligned to 256 bytes"},
    {"protected", Code::kInput, "the address is not protected"},
    {"memory", Code::kInput, "the page is not the realm's RAM"}};

}  // namespace

constinit const Row kGranuleRangeDelegate{
    .number = 0xa1,
    .name = "RMI_GRANULE_RANGE_DELEGATE",
    .fails = "RMI_GRANULE_RANGE_DELEGATE fails",
    .source = "runtime/rmi/granule.c, smc_granule_range_delegate()",
    .checks = kDelegateChecks,
    .effect = "the first granule is DELEGATED; x1: the next",
    .differs = {}};
constinit const Row kGranuleRangeUndelegate{
    .number = 0xa2,
    .name = "RMI_GRANULE_RANGE_UNDELEGATE",
    .fails = "RMI_GRANULE_RANGE_UNDELEGATE fails",
    .source = "runtime/rmi/granule.c, smc_granule_range_undelegate()",
    .checks = kUndelegateChecks,
    .effect = "the first granule is the host's, RAM scrubbed; x1: the next",
    .differs = {}};
constinit const Row kRealmCreate{
    .number = 0x08,
    .name = "RMI_REALM_CREATE",
    .fails = "RMI_REALM_CREATE fails",
    .source = "runtime/rmi/realm.c, smc_realm_create()",
    .checks = kRealmCreateChecks,
    .effect = "NEW, with a VMID",
    .differs =
        "of the parameters the device-assignment flag, the root table, the hash and the "
        "personalisation value: 39 bits of address, tables from level 1, the lower half "
        "protected; 255 VMIDs; the instance's id is counted, not drawn"};
constinit const Row kRealmActivate{.number = 0x07,
                                   .name = "RMI_REALM_ACTIVATE",
                                   .fails = "RMI_REALM_ACTIVATE fails",
                                   .source = "runtime/rmi/realm.c, smc_realm_activate()",
                                   .checks = kRealmActivateChecks,
                                   .effect = "ACTIVE",
                                   .differs = {}};
constinit const Row kRealmTerminate{.number = 0xb1,
                                    .name = "RMI_REALM_TERMINATE",
                                    .fails = {},
                                    .source = "runtime/rmi/realm.c, smc_realm_terminate()",
                                    .checks = kRealmTerminateChecks,
                                    .effect = "ZOMBIE",
                                    .differs = {}};
constinit const Row kRealmDestroy{.number = 0x09,
                                  .name = "RMI_REALM_DESTROY",
                                  .fails = "RMI_REALM_DESTROY fails",
                                  .source = "runtime/rmi/realm.c, smc_realm_destroy()",
                                  .checks = kRealmDestroyChecks,
                                  .effect = "the realm's and the root table's granule DELEGATED",
                                  .differs = {}};
constinit const Row kRecCreate{
    .number = 0x0a,
    .name = "RMI_REC_CREATE",
    .fails = "RMI_REC_CREATE fails",
    .source = "runtime/rmi/rec.c, smc_rec_create() and rec_create_continue()",
    .checks = kRecCreateChecks,
    .effect =
        "PARTIAL and INCOMPLETE; the host donates 16 auxiliary granules; OP_CONTINUE gives a REC "
        "of the realm, measured if it is runnable, or the host reclaims them",
    .differs = {}};
constinit const Row kRecDestroy{.number = 0x0b,
                                .name = "RMI_REC_DESTROY",
                                .fails = "RMI_REC_DESTROY fails",
                                .source = "runtime/rmi/rec.c, smc_rec_destroy()",
                                .checks = kRecDestroyChecks,
                                .effect =
                                    "PARTIAL and INCOMPLETE; the host reclaims the auxiliary "
                                    "granules; OP_CONTINUE gives DELEGATED",
                                .differs = {}};
constinit const Row kRecEnter{
    .number = 0x0c,
    .name = "RMI_REC_ENTER",
    .fails = {},
    .source =
        "runtime/rmi/run.c, smc_rec_enter(), complete_vdev_id_mapping() and "
        "complete_dev_mem_mapping(); runtime/core/inject_exp.c, inject_sync_idabort_rec()",
    .checks = kRecEnterChecks,
    .effect =
        "what the realm waits for is completed, and it runs; the record: why it came back. With "
        "INJECT_SEA it takes a synchronous external abort for the access that it left for: ESR, "
        "FAR, ELR and SPSR of EL1, and the PC of its vector",
    .differs =
        "of the entry's flags those about emulated accesses, RIPAS, device memory and an injected "
        "abort; code that fetches from outside of the protected half ends the realm, which would "
        "take an abort (handle_instruction_abort()); of the exit's record nothing about timers, "
        "the GIC, the PMU "
        "and planes; one that another task's code stands for has no record (explorations)"};

constinit const Row kRsiVdevGetInfo{
    .number = 0x0d,
    .name = "RSI_VDEV_GET_INFO",
    .fails = {},
    .source = "runtime/rsi/vdev.c, handle_ and finish_rsi_vdev_get_info()",
    .checks = kGetInfoChecks,
    .effect = "state, nonces and digests of the VDEV, in the realm's memory",
    .differs = "no digest of the public key"};
constinit const Row kRsiVdevValidateMapping{
    .number = 0x0f,
    .name = "RSI_VDEV_VALIDATE_MAPPING",
    .fails = {},
    .source =
        "runtime/rsi/vdev.c, handle_ and finish_rsi_vdev_validate_mapping(); "
        "runtime/rmi/run.c, complete_dev_mem_mapping()",
    .checks = kValidateMappingChecks,
    .effect =
        "exit DEV_MEM_MAP; x1: up to where the mapping is valid, x2: whether the host rejects",
    .differs = "the flags are not looked at (nor are they there)"};
constinit const Row kRsiVdevDmaEnable{
    .number = 0x0c,
    .name = "RSI_VDEV_DMA_ENABLE",
    .fails = {},
    .source = "runtime/rsi/vdev.c, handle_ and finish_rsi_vdev_dma_enable()",
    .checks = kDmaEnableChecks,
    .effect = "the stream table entry is valid",
    .differs =
        "without the defects of that commit a busy VDEV is refused with DEVICE: an UNLOCK "
        "after VDEV_COMPLETE has switched DMA off, and nothing would do so again. No planes"};
constinit const Row kRsiVdevDmaDisable{
    .number = 0x14,
    .name = "RSI_VDEV_DMA_DISABLE",
    .fails = {},
    .source = "runtime/rsi/vdev.c, handle_ and finish_rsi_vdev_dma_disable()",
    .checks = kDmaDisableChecks,
    .effect = "the stream table entry is not valid",
    .differs = {}};
constinit const Row kRsiIpaStateSet{
    .number = 0x07,
    .name = "RSI_IPA_STATE_SET",
    .fails = {},
    .source =
        "runtime/rsi/memory.c, handle_rsi_ipa_state_set(); runtime/rmi/run.c, "
        "complete_set_ripas()",
    .checks = kIpaStateSetChecks,
    .effect = "exit RIPAS_CHANGE; the host calls RTT_SET_RIPAS",
    .differs = {}};

constinit const Row kRsiVersion{.number = 0x00,
                                .name = "RSI_VERSION",
                                .fails = {},
                                .source = "runtime/rsi/version.c, handle_rsi_version()",
                                .checks = kVersionChecks,
                                .effect = "x1: what is meant, x2: the highest",
                                .differs = {}};
constinit const Row kRsiFeatures{.number = 0x01,
                                 .name = "RSI_FEATURES",
                                 .fails = {},
                                 .source = "runtime/rsi/feature.c, handle_rsi_features()",
                                 .checks = {},
                                 .effect = "x1: the register; 0 for one that does not exist",
                                 .differs = "of register 0 device assignment alone"};
constinit const Row kRsiMeasurementRead{
    .number = 0x02,
    .name = "RSI_MEASUREMENT_READ",
    .fails = {},
    .source = "runtime/rsi/realm_attest.c, handle_rsi_measurement_read()",
    .checks = kMeasurementReadChecks,
    .effect = "x1 to x8: the measurement",
    .differs =
        "without the defects of that commit a measurement of less than 64 bytes has zeros "
        "behind it in x5 to x7, where the caller's values stay"};
constinit const Row kRsiMeasurementExtend{
    .number = 0x03,
    .name = "RSI_MEASUREMENT_EXTEND",
    .fails = {},
    .source =
        "runtime/rsi/realm_attest.c, handle_rsi_measurement_extend(); "
        "app/attestation/el0_app/src/attest_measurement.c, app_do_extend()",
    .checks = kMeasurementExtendChecks,
    .effect = "the measurement is the hash of itself and the value",
    .differs = {}};
constinit const Row kRsiAttestTokenInit{
    .number = 0x04,
    .name = "RSI_ATTESTATION_TOKEN_INIT",
    .fails = {},
    .source =
        "runtime/rsi/realm_attest.c, handle_rsi_attest_token_init(); "
        "app/attestation/el0_app/src/attestation_token.c, attest_app_realm_token_create()",
    .checks = {},
    .effect =
        "a token with this challenge (x1 to x8) and the measurements of this moment is begun, an "
        "older one dropped; x1: the most bytes that one has",
    .differs = "there is always memory for one (RSI_ERROR_UNKNOWN)"};
constinit const Row kRsiAttestTokenContinue{
    .number = 0x05,
    .name = "RSI_ATTESTATION_TOKEN_CONTINUE",
    .fails = {},
    .source =
        "runtime/rsi/realm_attest.c, handle_rsi_attest_token_continue() and "
        "attest_token_continue_write_state(); attestation_token.c, attest_app_realm_token_sign() "
        "and attest_app_cca_token_create()",
    .checks = kAttestTokenContinueChecks,
    .effect =
        "the next bytes of the token in the realm's memory, x1 how many; INCOMPLETE as long as "
        "there are more",
    .differs =
        "signed at once: no interrupt leaves the realm in between. The platform's half is this "
        "model's: its keys are made of constants, its firmware's digests of names"};
constinit const Row kRsiRealmConfig{.number = 0x06,
                                    .name = "RSI_REALM_CONFIG",
                                    .fails = {},
                                    .source = "runtime/rsi/config.c, handle_rsi_realm_config()",
                                    .checks = kRealmConfigChecks,
                                    .effect =
                                        "width of addresses, hash and personalisation value, in "
                                        "a page of the realm's",
                                    .differs =
                                        "no GIC and no planes: 0. Without the defects of that "
                                        "commit SHA-384 is not told as SHA-512"};
constinit const Row kRsiIpaStateGet{.number = 0x08,
                                    .name = "RSI_IPA_STATE_GET",
                                    .fails = {},
                                    .source = "runtime/rsi/memory.c, handle_rsi_ipa_state_get()",
                                    .checks = kIpaStateGetChecks,
                                    .effect = "x1: up to where, x2: the RIPAS",
                                    .differs = {}};
constinit const Row kRsiHostCall{
    .number = 0x09,
    .name = "RSI_HOST_CALL",
    .fails = {},
    .source = "runtime/rsi/host_call.c, handle_rsi_host_call() and complete_rsi_host_call()",
    .checks = kHostCallChecks,
    .effect = "exit HOST_CALL with 31 registers out of the realm's memory; they go back there",
    .differs = {}};

}  // namespace teeio::rmm::row
