#include "firmware/tdx/shared_checks.h"

// An IOMMU's set-up, a register at a time. The source of these is the tdxio branch, src/
// vmm_dispatcher/api_calls/tdxio and src/common/tdxio/iommu.c.

namespace teeio::tdx::row {
namespace {

using enum Code;
using enum Operand;

constexpr std::array<Check, 4> kAnyRegister{
    {{"iommu", kOperandInvalid, kRcx, "bad IOMMU id"},
     {"no_iommu", kIommuInvalidState, kRcx, "no such IOMMU"},
     {"iommu_busy", kOperandBusy, kRcx, "another leaf has the IOMMU"},
     {"in_progress", kOperandInvalid, kRdx, "CONFIG_IOMMU or CLEAR_IOMMU takes its time"}}};
constexpr std::array<Check, 1> kConfigured{
    {{"iommu_state", kIommuInvalidState, kRdx, "the IOMMU is not set up"}}};
constexpr std::array<Check, 1> kNoValue{{{"value", kOperandInvalid, kR8, "the value is not 0"}}};
constexpr std::array<Check, 1> kRootPort{
    {{"root_port", kOperandInvalid, kR8, "no root port of the IOMMU has that requester ID"}}};
constexpr std::array<Check, 1> kSessions{
    {{"sessions", kIommuInvalidState, kRcx, "SPDM sessions are left"}}};
constexpr std::array<Check, 1> kTakesTime{
    {{"timeout", kIommuEcmdTimeout, kRcx, "the IOMMU takes its time: the same call again"}}};

constexpr auto kPageChecks =
    join(kApi, kAnyRegister,
         own({{"register", kOperandInvalid, kRdx, "there is no such register"},
              {"iommu_state", kIommuInvalidState, kRcx, "the IOMMU is set up"},
              {"zero", kOperandInvalid, kR8, "the address is 0"}}),
         free_page(kR8),
         own({{"queue", kOperandInvalid, kR8,
               "the page is not behind the queue's last one, or the queue has 128"},
              {"set", kIommuInvalidState, kR8, "the page is there already"}}));
constexpr auto kConfigChecks =
    join(kApi, kAnyRegister,
         own({{"iommu_state", kIommuInvalidState, kRdx, "the IOMMU is set up"}}), kNoValue,
         own({{"pages", kIommuInvalidState, kRcx,
               "a page is missing, or the queues' sizes differ or are no power of two"},
              {"key_unit", kKcbMustBeDisabled, kRcx, "a key unit's stream registers are enabled"}}),
         kTakesTime);
constexpr auto kRootPortChecks =
    join(kApi, kAnyRegister, kConfigured, kRootPort,
         own({{"again", kOperandInvalid, kR8, "the root port is set up"},
              {"ide", kRpIdeMustBeDisabled, kR8, "an IDE stream of the root port is enabled"}}));
constexpr auto kClearRootPortChecks =
    join(kApi, kAnyRegister, kConfigured, kSessions, kRootPort,
         own({{"never", kOperandInvalid, kR8, "the root port is not set up"}}));
constexpr auto kClearChecks =
    join(kApi, kAnyRegister, kNoValue,
         own({{"root_ports", kIommuInvalidState, kRcx, "a root port is set up"}}), kSessions,
         kTakesTime);
constexpr auto kGetregChecks =
    join(kApi, own({{"registers", kOperandInvalid, kRcx, "no IOMMU has its registers there"},
                    {"iommu", kOperandInvalid, kRcx, "bad IOMMU id"},
                    {"no_iommu", kIommuInvalidState, kRcx, "no such IOMMU"},
                    {"register", kOperandInvalid, kRdx, "there is no such register"}}));

constexpr std::string_view kNoGcmd = "GCMD_REG is no register here";
constexpr std::string_view kHostsSide =
    "what the host's own side of the IOMMU is set to is not looked at";

}  // namespace

constinit const Row kIommuSetregPage{
    .number = 128,
    .name = "TDH.IOMMU.SETREG",
    .detail = "a page",
    .fails = "TDH.IOMMU.SETREG fails",
    .source = "tdh_iommu_setreg.c; iommu.c, check_and_update_iq_buffer()",
    .checks = kPageChecks,
    .effect =
        "the page is the IOMMU's: of the queue or its context, the root table, one of two of "
        "streams, or the directory of SPDM sessions",
    .differs = kNoGcmd,
    .only = Api::kG2};
constinit const Row kIommuSetregConfig{
    .number = 128,
    .name = "TDH.IOMMU.SETREG",
    .detail = "CONFIG_IOMMU",
    .fails = "TDH.IOMMU.SETREG fails",
    .source = "tdh_iommu_setreg.c; iommu.c, configure_iommu()",
    .checks = kConfigChecks,
    .effect = "CONFIGURED: the trusted side is on, with the root table and the queue",
    .differs = kHostsSide,
    .only = Api::kG2};
constinit const Row kIommuSetregRootPort{
    .number = 128,
    .name = "TDH.IOMMU.SETREG",
    .detail = "CONFIG_RP",
    .fails = "TDH.IOMMU.SETREG fails",
    .source = "tdh_iommu_setreg.c; iommu.c, configure_rp(); ide_stream.c, is_ide_disabled()",
    .checks = kRootPortChecks,
    .effect =
        "the root port's stream registers are the module's; what stands on the IOMMU wants all of "
        "its root ports so",
    .differs = kHostsSide,
    .only = Api::kG2};
constinit const Row kIommuSetregClearRootPort{
    .number = 128,
    .name = "TDH.IOMMU.SETREG",
    .detail = "CLEAR_RP",
    .fails = "TDH.IOMMU.SETREG fails",
    .source = "tdh_iommu_setreg.c; iommu.c, clear_rp()",
    .checks = kClearRootPortChecks,
    .effect = "the root port's stream registers are the host's",
    .differs = {},
    .only = Api::kG2};
constinit const Row kIommuSetregClear{
    .number = 128,
    .name = "TDH.IOMMU.SETREG",
    .detail = "CLEAR_IOMMU",
    .fails = "TDH.IOMMU.SETREG fails",
    .source = "tdh_iommu_setreg.c; iommu.c, clear_iommu()",
    .checks = kClearChecks,
    .effect =
        "INIT, without pages: the trusted side is off, and they come back by RECLAIM; also of an "
        "IOMMU that was never set up",
    .differs = "what takes its time never fails in the end",
    .only = Api::kG2};
constinit const Row kIommuGetreg{
    .number = 129,
    .name = "TDH.IOMMU.GETREG",
    .detail = {},
    .fails = "TDH.IOMMU.GETREG fails",
    .source = "tdh_iommu_getreg.c",
    .checks = kGetregChecks,
    .effect =
        "R8: a page (of a queue the first one, and how many), the state, or, for the address of "
        "an IOMMU's registers, its id. No lock: what SETREG is changing is told as it is",
    .differs = {},
    .only = Api::kG2};

}  // namespace teeio::tdx::row
