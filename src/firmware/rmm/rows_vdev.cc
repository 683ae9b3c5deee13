#include "firmware/rmm/rows.h"
#include "firmware/rmm/shared_checks.h"

// Functions given to realms: TF-RMM 9a7f8ef46378, runtime/rmi/vdev.c.

namespace teeio::rmm::row {
namespace {

constexpr Check kRdAndPdev{"rd_pdev", Code::kInput, "a granule is no realm or no PDEV"};
constexpr Check kVdev{"vdev", Code::kInput, "the granule is no VDEV"};
constexpr Check kRealmsInput{"realm", Code::kInput, "the VDEV is another realm's"};
constexpr Check kRealmsDevice{"realm", Code::kDevice, "the VDEV is another realm's"};
constexpr Check kPdevsDevice{"pdev", Code::kDevice, "the VDEV is another PDEV's"};
constexpr Check kBusy{"comm", Code::kDevice, "a communication of the VDEV is due or under way"};

constexpr Check kCreateChecks[] = {
    kFeature,
    kAligned,
    kRdAndPdev,
    {"da", Code::kRealm, "the realm is without device assignment"},
    {"params", Code::kInput, "the parameters' page is not the host's"},
    {"flags", Code::kInput, "a flag is set"},
    {"ranges", Code::kInput, "more than 8 address ranges, an empty one, or not in order"},
    {"tdi", Code::kInput, "the TDI is none of the PDEV's requester IDs"},
    {"category", Code::kDevice, "the PDEV is no end point"},
    {"state", Code::kDevice, "the PDEV is not READY"},
    {"full", Code::kDevice, "the PDEV has a VDEV for each of its requester IDs"},
    {"overlap", Code::kInput, "another VDEV of the PDEV has a part of the ranges"},
    {"stream", Code::kDevice, "the PDEV's non-coherent stream is not CONNECTED"},
    {"granule", Code::kInput, "the VDEV's granule is not DELEGATED"},
    {"smmu", Code::kDevice, "no SMMU has the TDI"},
    {"inactive", Code::kDevice, "the PSMMU is not ACTIVE"},
    {"table", Code::kDevice, "the PSMMU has no level-2 stream table for the TDI"},
    {"ste", Code::kDevice, "the TDI's stream table entry is in use"}};

constexpr Check kCommunicateChecks[] = {
    kFeature,
    kAligned,
    {"rd", Code::kInput, "the granule is no realm"},
    {"pdev_granule", Code::kInput, "the granule is no PDEV"},
    kVdev,
    kRealmsInput,
    {"data", Code::kInput, "the data page is not the host's"},
    kPdevsDevice,
    {"comm", Code::kDevice, "no communication is due"},
    kBuffers,
    kResponseLength,
    kBuffersHosts,
    {"status", Code::kDevice, "the PDEV's own communication is PENDING, and there is a status"}};

constexpr Check kGetStateChecks[] = {kFeature, kAligned, kVdev};

constexpr Check kLockChecks[] = {kFeature,
                                 kAligned,
                                 kRdAndPdev,
                                 kVdev,
                                 kRealmsInput,
                                 kPdevsDevice,
                                 {"state", Code::kDevice, "the VDEV is not UNLOCKED"},
                                 kBusy};
constexpr Check kStartChecks[] = {kFeature,
                                  kAligned,
                                  kRdAndPdev,
                                  kVdev,
                                  kRealmsInput,
                                  kPdevsDevice,
                                  {"state", Code::kDevice, "the VDEV is not LOCKED"},
                                  kBusy};

constexpr Check kMeasurementsChecks[] = {
    kFeature,
    kAligned,
    kRdAndPdev,
    kVdev,
    kRealmsDevice,
    kPdevsDevice,
    {"comm", Code::kDevice, "a communication of the PDEV is due or under way"},
    {"params", Code::kInput, "the parameters' page is not the host's"}};

constexpr Check kReportChecks[] = {kFeature,
                                   kAligned,
                                   kRdAndPdev,
                                   kVdev,
                                   kRealmsDevice,
                                   kPdevsDevice,
                                   {"state", Code::kDevice, "the VDEV is not LOCKED or STARTED"},
                                   kBusy};

constexpr Check kCompleteChecks[] = {kFeature,
                                     kAligned,
                                     {"rec", Code::kInput, "the granule is no REC"},
                                     kVdev,
                                     {"request", Code::kInput, "the REC has no request for a VDEV"},
                                     {"other", Code::kInput, "the realm means another VDEV"},
                                     kBusy};

constexpr Check kUnlockChecks[] = {
    kFeature,
    kAligned,
    kRdAndPdev,
    kVdev,
    kRealmsDevice,
    kPdevsDevice,
    {"state", Code::kDevice, "the VDEV is not LOCKED, STARTED or ERROR"},
    kBusy,
    {"mapped", Code::kGranule, "a granule of the VDEV's ranges is MAPPED (x1: which)"}};

constexpr Check kAbortChecks[] = {kFeature,
                                  kAligned,
                                  {"rd", Code::kInput, "the granule is no realm"},
                                  {"pdev_granule", Code::kInput, "the granule is no PDEV"},
                                  kVdev,
                                  {"comm", Code::kDevice, "there is nothing to abort"},
                                  kRealmsDevice,
                                  kPdevsDevice};

constexpr Check kDestroyChecks[] = {kFeature,
                                    kAligned,
                                    kRdAndPdev,
                                    kVdev,
                                    kRealmsDevice,
                                    kPdevsDevice,
                                    {"state", Code::kDevice, "the VDEV is not NEW or UNLOCKED"}};

}  // namespace

constinit const Row kVdevCreate{
    .number = 0x37,
    .name = "RMI_VDEV_CREATE",
    .fails = "RMI_VDEV_CREATE fails",
    .source =
        "runtime/rmi/vdev.c, smc_vdev_create() and validate_vdev_params(); "
        "lib/smmuv3, smmuv3_configure_stream()",
    .checks = kCreateChecks,
    .effect =
        "NEW, PENDING; the stream table entry is written and not valid; both counts rise. "
        "One step without a message gives UNLOCKED",
    .differs = {}};
constinit const Row kVdevCommunicate{
    .number = 0x36,
    .name = "RMI_VDEV_COMMUNICATE",
    .fails = "RMI_VDEV_COMMUNICATE fails",
    .source = "runtime/rmi/vdev.c, smc_vdev_communicate(); runtime/rmi/pdev.c, dev_communicate()",
    .checks = kCommunicateChecks,
    .effect = "one step; the state that the command wants, or ERROR",
    .differs = {}};
constinit const Row kVdevGetState{.number = 0x39,
                                  .name = "RMI_VDEV_GET_STATE",
                                  .fails = {},
                                  .source = "runtime/rmi/vdev.c, smc_vdev_get_state()",
                                  .checks = kGetStateChecks,
                                  .effect = "x1: the state",
                                  .differs = {}};
constinit const Row kVdevLock{
    .number = 0x82,
    .name = "RMI_VDEV_LOCK",
    .fails = "RMI_VDEV_LOCK fails",
    .source = "runtime/rmi/vdev.c, smc_vdev_lock(); dev_tdisp_cmds.c, dev_tdisp_lock_main()",
    .checks = kLockChecks,
    .effect =
        "PENDING: GET_VERSION, GET_CAPABILITIES, GET_STATE (CONFIG_UNLOCKED), LOCK_INTERFACE "
        "(all flags of the device but LOCK_MSIX), GET_STATE (CONFIG_LOCKED), then LOCKED "
        "with a new lock nonce",
    .differs = "without the defects of that commit the lock names the card's stream, not stream 0"};
constinit const Row kVdevStart{
    .number = 0x83,
    .name = "RMI_VDEV_START",
    .fails = "RMI_VDEV_START fails",
    .source = "runtime/rmi/vdev.c, smc_vdev_start(); dev_tdisp_cmds.c, dev_tdisp_start_main()",
    .checks = kStartChecks,
    .effect = "PENDING: START_INTERFACE with the lock's nonce, GET_STATE (RUN), then STARTED",
    .differs =
        "the root port's DVSEC has no TDISP enable; no GET_STATE before, as a debug build "
        "has it"};
constinit const Row kVdevGetMeasurements{
    .number = 0x81,
    .name = "RMI_VDEV_GET_MEASUREMENTS",
    .fails = "RMI_VDEV_GET_MEASUREMENTS fails",
    .source = "runtime/rmi/vdev.c, smc_vdev_get_measurements()",
    .checks = kMeasurementsChecks,
    .effect = "PENDING, whatever was due; all blocks, signed; then a new measurement nonce",
    .differs =
        "always digests (the raw flag is not looked at). Without the defects of that commit "
        "the request has the host's nonce, not zeros"};
constinit const Row kVdevGetInterfaceReport{
    .number = 0x80,
    .name = "RMI_VDEV_GET_INTERFACE_REPORT",
    .fails = "RMI_VDEV_GET_INTERFACE_REPORT fails",
    .source =
        "runtime/rmi/vdev.c, smc_vdev_get_interface_report(); dev_tdisp_cmds.c, "
        "dev_tdisp_report_main()",
    .checks = kReportChecks,
    .effect = "PENDING: the report, at most 4096 bytes, in portions; then a new report nonce",
    .differs = {}};
constinit const Row kVdevComplete{.number = 0x3e,
                                  .name = "RMI_VDEV_COMPLETE",
                                  .fails = {},
                                  .source = "runtime/rmi/vdev.c, smc_vdev_complete()",
                                  .checks = kCompleteChecks,
                                  .effect = "the REC knows which VDEV its realm means",
                                  .differs = {}};
constinit const Row kVdevUnlock{
    .number = 0x3a,
    .name = "RMI_VDEV_UNLOCK",
    .fails = "RMI_VDEV_UNLOCK fails",
    .source = "runtime/rmi/vdev.c, smc_vdev_unlock(); dev_tdisp_cmds.c, dev_tdisp_stop_main()",
    .checks = kUnlockChecks,
    .effect =
        "trusted DMA off at once; PENDING: STOP_INTERFACE, GET_STATE (CONFIG_UNLOCKED), then "
        "UNLOCKED. A STOP that fails, by a refusal, a lost or bent answer, or since there is no "
        "session any more: UNLOCKED, and the TDI's state is not asked",
    .differs = {}};
constinit const Row kVdevAbort{
    .number = 0x35,
    .name = "RMI_VDEV_ABORT",
    .fails = "RMI_VDEV_ABORT fails",
    .source = "runtime/rmi/vdev.c, smc_vdev_abort()",
    .checks = kAbortChecks,
    .effect = "ERROR and idle; trusted DMA stays",
    .differs =
        "without the defects of that commit the application is woken with an error and ends"};
constinit const Row kVdevDestroy{
    .number = 0x38,
    .name = "RMI_VDEV_DESTROY",
    .fails = "RMI_VDEV_DESTROY fails",
    .source = "runtime/rmi/vdev.c, smc_vdev_destroy()",
    .checks = kDestroyChecks,
    .effect =
        "the stream table entry is free, both counts drop, DELEGATED. Mappings are not "
        "looked at",
    .differs = "the stream table entry is always given back (no SMMU of this model fails)"};

}  // namespace teeio::rmm::row
