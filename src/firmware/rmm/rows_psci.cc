#include "firmware/rmm/rows.h"

// A realm's power: TF-RMM 9a7f8ef46378, runtime/rsi/psci.c and runtime/rmi/rec.c.

namespace teeio::rmm::row {
namespace {

constexpr Check kTarget{"target", Code::kPsciInvalidParameters, "the realm has no such REC"};
constexpr Check kCpuOnChecks[] = {
    {"protected", Code::kPsciInvalidAddress, "the entry point is not protected"},
    kTarget,
    {"self", Code::kPsciAlreadyOn, "the REC turns itself on"}};
constexpr Check kAffinityInfoChecks[] = {
    {"level", Code::kPsciInvalidParameters, "the lowest level is not 0"}, kTarget};
constexpr Check kFeaturesChecks[] = {
    {"function", Code::kPsciNotSupported, "the monitor does not have the function"}};
constexpr Check kCompleteChecks[] = {
    {"aligned", Code::kInput, "an address is not aligned"},
    {"recs", Code::kInput, "a granule is no REC, or both are one"},
    {"running", Code::kInput, "the REC that called is running"},
    {"pending", Code::kInput, "the REC has no call of PSCI's that waits"},
    {"foreign", Code::kInput, "the RECs are of two realms"},
    {"target", Code::kInput, "the other REC is not the one that was named"},
    {"status", Code::kInput, "neither success nor, of CPU_ON, denied"},
    {"denied", Code::kInput,
     "denied, but the REC is on: the realm learns that it is, all the same"}};

constexpr std::string_view kExit = "exit PSCI with the function; x0: success";

}  // namespace

constinit const Row kPsciComplete{
    .number = 0x14,
    .name = "RMI_PSCI_COMPLETE",
    .fails = "RMI_PSCI_COMPLETE fails",
    .source = "runtime/rmi/rec.c, smc_psci_complete(); runtime/rsi/psci.c, psci_complete_request()",
    .checks = kCompleteChecks,
    .effect =
        "of CPU_ON the other REC is runnable, and begins at the entry point with the context; of "
        "AFFINITY_INFO whether it is; the REC that called may be entered",
    .differs = {}};

constinit const Row kPsciVersion{.number = 0x00,
                                 .name = "PSCI_VERSION",
                                 .fails = {},
                                 .source = "runtime/rsi/psci.c, psci_version()",
                                 .checks = {},
                                 .effect = "x0: 1.1",
                                 .differs = {}};
constinit const Row kPsciCpuSuspend{.number = 0x01,
                                    .name = "PSCI_CPU_SUSPEND",
                                    .fails = {},
                                    .source = "runtime/rsi/psci.c, psci_cpu_suspend()",
                                    .checks = {},
                                    .effect = kExit,
                                    .differs = {}};
constinit const Row kPsciCpuOff{.number = 0x02,
                                .name = "PSCI_CPU_OFF",
                                .fails = {},
                                .source = "runtime/rsi/psci.c, psci_cpu_off()",
                                .checks = {},
                                .effect = "the REC is off; exit PSCI with the function",
                                .differs = {}};
constinit const Row kPsciCpuOn{
    .number = 0x03,
    .name = "PSCI_CPU_ON",
    .fails = {},
    .source = "runtime/rsi/psci.c, psci_cpu_on()",
    .checks = kCpuOnChecks,
    .effect = "exit PSCI with the function and the target, up to RMI_PSCI_COMPLETE",
    .differs = {}};
constinit const Row kPsciAffinityInfo{
    .number = 0x04,
    .name = "PSCI_AFFINITY_INFO",
    .fails = {},
    .source = "runtime/rsi/psci.c, psci_affinity_info()",
    .checks = kAffinityInfoChecks,
    .effect =
        "of itself ON; else exit PSCI with the function and the target, up to RMI_PSCI_COMPLETE",
    .differs = {}};
constinit const Row kPsciSystemOff{
    .number = 0x08,
    .name = "PSCI_SYSTEM_OFF",
    .fails = {},
    .source = "runtime/rsi/psci.c, psci_system_off_reset()",
    .checks = {},
    .effect = "no REC of the realm is entered again; exit PSCI with the function",
    .differs = {}};
constinit const Row kPsciSystemReset{.number = 0x09,
                                     .name = "PSCI_SYSTEM_RESET",
                                     .fails = {},
                                     .source = "runtime/rsi/psci.c, psci_system_off_reset()",
                                     .checks = {},
                                     .effect = "as PSCI_SYSTEM_OFF",
                                     .differs = {}};
constinit const Row kPsciFeatures{.number = 0x0a,
                                  .name = "PSCI_FEATURES",
                                  .fails = {},
                                  .source = "runtime/rsi/psci.c, psci_features()",
                                  .checks = kFeaturesChecks,
                                  .effect = "x0: success; PSCI_VERSION is not among them",
                                  .differs = {}};

}  // namespace teeio::rmm::row
