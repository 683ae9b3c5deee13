#include "firmware/tdx/shared_checks.h"

// TDs and vCPUs, from their pages to their end. The source of these is the tag TDX_1.5.01, src/
// vmm_dispatcher/api_calls; VPFLUSHDONE and RECLAIM are of the tdxio branch.

namespace teeio::tdx::row {
namespace {

using enum Code;
using enum Operand;

constexpr std::string_view kWhole = "only one page is wanted";
constexpr std::array<Check, 1> kVcpuPages{
    {{"pages", kTdcxNumIncorrect, kRax, "the vCPU lacks pages"}}};
constexpr std::array<Check, 1> kVcpuState{
    {{"state", kVcpuStateIncorrect, kRax, "the vCPU is initialized"}}};
constexpr std::array<Check, 1> kVcpuStateNumber{
    {{"state", kVcpuStateIncorrect, kNumber, "the vCPU is initialized (its state: 2, READY)"}}};

constexpr std::array<Check, 1> kTscAdjust{
    {{"tsc_adjust", kInconsistentMsr, kNumber,
      "the processor's IA32_TSC_ADJUST is not what SYS.INIT saw (the MSR; a host's driver does not "
      "meet this: the MSR is written by the kernel alone, which puts back what anybody else wrote, "
      "Linux arch/x86/kernel/tsc_sync.c, tsc_verify_tsc_adjust())"}}};

constexpr auto kMngCreateChecks =
    join(own({{"hkid", kOperandInvalid, kRdx, "no private HKID"}}), free_page(kRcx), kKeyTable,
         own({{"free", kHkidNotFree, kRax, "another TD has the HKID"}}));
constexpr auto kKeyConfigChecks =
    join(tdr(kRcx),
         own({{"fatal", kTdFatal, kRax, "the TD met a fatal error", "no vCPU runs without a key"},
              {"life_cycle", kLifecycleStateIncorrect, kRax, "the key is configured"}}));
constexpr auto kAddcxChecks = join(
    tdr(kRdx), kTdKeys,
    own({{"count", kTdcxNumIncorrect, kRax, "the TD has all its control pages"}}), free_page(kRcx));
constexpr auto kMngInitChecks =
    join(td_alone(kRcx),
         own({{"attributes", kOperandInvalid, kAttributes, "no such attribute of a TD"},
              {"max_vcpus", kOperandInvalid, kMaxVcpus, "a TD needs a vCPU"}}),
         kTscAdjust);
constexpr auto kMrExtendChecks =
    join(td_alone(kRdx), own({{"chunk", kOperandInvalid, kRcx, "the GPA is no chunk's"}}),
         unmet(kWhole, own({{"level", kOperandInvalid, kRcx, "the level is too high"}})),
         own({{"gpa", kOperandInvalid, kRcx, "the GPA is shared or too wide"}}),
         unmet(kWhole, own({{"aligned", kOperandInvalid, kRcx, "the GPA is not a page's"}})),
         own({{"walk", kEptEntryNotPresent, kRcx, "the walk ended above a page"},
              {"state", kEptEntryNotPresent, kRax, "no page was added here"}}));
constexpr auto kMrFinalizeChecks =
    join(td_alone(kRcx), own({{"vcpus", kNoVcpus, kRax, "the TD has no vCPU"}}));
constexpr auto kVpCreateChecks = join(td(kRdx), free_page(kRcx));
constexpr auto kVpAddcxChecks =
    join(tdvpr(kRdx), kOwnTdr, kTd, kVcpuState,
         own({{"count", kTdcxNumIncorrect, kRax, "the vCPU has all its pages"}}), free_page(kRcx));
constexpr auto kVpInitChecks =
    join(kTscAdjust, own({{"version", kOperandInvalid, kRax, "there is no such version"}}),
         tdvpr(kRcx), kOwnTdr, kTd, kVcpuPages, kVcpuStateNumber,
         own({{"max_vcpus", kMaxVcpusExceeded, kRax, "the TD has all its vCPUs"},
              {"x2apic", kOperandInvalid, kR8, "version 1: the x2APIC ID has more than 32 bits"},
              {"unique", kX2apicIdNotUnique, kNumber,
               "version 1: another vCPU of the TD has that x2APIC ID (the ID; one that version 0 "
               "has initialised counts as 0)"}}));
constexpr auto kVpEnterChecks =
    join(tdvpr(kRcx), kOwnTdr, kTd, kVcpuPages,
         own({{"initialized", kVcpuStateIncorrect, kRax, "the vCPU is not initialized"},
              {"inside", kVcpuAssociated, kRax,
               "the vCPU is associated with another processor (through the host's driver here only "
               "while it runs: all calls are one processor's)"}}),
         kTscAdjust, kEpoch);
constexpr auto kVpFlushChecks = join(
    tdvpr(kRcx), kOwnTdr, own({{"keys", kTdKeysNotConfigured, kRax, "the TD has no usable key"}}),
    kVcpuPages,
    own({{"associated", kVcpuNotAssociated, kRax,
          "the vCPU is not associated with this processor (through the host's driver here only "
          "one that is with none: all calls are one processor's)"}}));
constexpr auto kVpflushdoneChecks =
    join(tdr(kRcx), kKeyTable,
         own({{"life_cycle", kLifecycleStateIncorrect, kRax, "the TD is past this"},
              {"flushed", kFlushvpNotDone, kRax, "a vCPU is not flushed"},
              {"devices", kTdHasAttachedDevices, kRax, "the TD still has a device interface"},
              {"iotlb", kIotlbTrackingNotDone, kRax, "an IOMMU still knows the TD"}}));
constexpr auto kCacheWbChecks = join(
    own({{"wbcache", kOperandBusy, kWbcache, "another leaf writes the caches back"}}), kKeyTable,
    own({{"ready", kNoHkidReadyToWbcache, kRax, "no key waits for it (a remark)"}}));
constexpr auto kFreeidChecks = join(
    tdr(kRcx), own({{"life_cycle", kLifecycleStateIncorrect, kRax, "VPFLUSHDONE comes first"}}),
    kKeyTable, own({{"caches", kWbcacheNotComplete, kRax, "caches hold lines of the key"}}));
constexpr auto kReclaimChecks = join(
    own({{"page", kOperandInvalid, kRcx, "the address is no page's"},
         {"range", kOperandAddrRangeError, kRcx, "the address is no page of RAM"},
         {"busy", kOperandBusy, kRcx, "another leaf has the page"},
         {"type", kPageMetadataIncorrect, kRcx, "the page is free, or its own leaf gives it back"},
         {"iommu", kIommuMtPageInUse, kRax, "the IOMMU uses the page"}}),
    kOwnTdr,
    own({{"life_cycle", kLifecycleStateIncorrect, kRax, "the TD's key is in use"},
         {"children", kTdAssociatedPagesExist, kRax, "the TD still has pages"}}));

}  // namespace

constinit const Row kMngCreate{.number = 9,
                               .name = "TDH.MNG.CREATE",
                               .detail = {},
                               .fails = {},
                               .source = "tdh_mng_create.c",
                               .checks = kMngCreateChecks,
                               .effect = "a TDR page; the key is the TD's",
                               .differs = "there is always entropy"};
constinit const Row kMngKeyConfig{
    .number = 8,
    .name = "TDH.MNG.KEY.CONFIG",
    .detail = {},
    .fails = {},
    .source = "tdh_mng_key_config.c",
    .checks = kKeyConfigChecks,
    .effect = "the key works: KEYS_CONFIGURED",
    .differs = "the machine is one package, so KEY_CONFIGURED cannot be met; keys never fail"};
constinit const Row kMngAddcx{.number = 1,
                              .name = "TDH.MNG.ADDCX",
                              .detail = {},
                              .fails = {},
                              .source = "tdh_mng_add_cx.c",
                              .checks = kAddcxChecks,
                              .effect = "one of the TD's four control pages",
                              .differs = "no pages for nested VMs"};
constinit const Row kMngInit{
    .number = 21,
    .name = "TDH.MNG.INIT",
    .detail = {},
    .fails = {},
    .source = "tdh_mng_init.c and read_and_set_td_configurations()",
    .checks = kMngInitChecks,
    .effect =
        "INITIALIZED; the last control page is the root of the secure EPT, and the offset of "
        "MMIO in reports is drawn",
    .differs = "TD_PARAMS is no page: attributes and the number of vCPUs only"};
constinit const Row kMrExtend{.number = 16,
                              .name = "TDH.MR.EXTEND",
                              .detail = {},
                              .fails = {},
                              .source = "tdh_mr_extend.c",
                              .checks = kMrExtendChecks,
                              .effect = "256 bytes of a page are measured",
                              .differs = {}};
constinit const Row kMrFinalize{.number = 17,
                                .name = "TDH.MR.FINALIZE",
                                .detail = {},
                                .fails = {},
                                .source = "tdh_mr_finalize.c",
                                .checks = kMrFinalizeChecks,
                                .effect = "RUNNABLE; MRTD is what was measured so far",
                                .differs = {}};
constinit const Row kVpCreate{.number = 10,
                              .name = "TDH.VP.CREATE",
                              .detail = {},
                              .fails = {},
                              .source = "tdh_vp_create.c",
                              .checks = kVpCreateChecks,
                              .effect = "a TDVPR page",
                              .differs = {}};
constinit const Row kVpAddcx{.number = 4,
                             .name = "TDH.VP.ADDCX",
                             .detail = {},
                             .fails = {},
                             .source = "tdh_vp_addcx.c",
                             .checks = kVpAddcxChecks,
                             .effect = "one of the vCPU's pages",
                             .differs = {}};
constinit const Row kVpInit{
    .number = 22,
    .name = "TDH.VP.INIT",
    .detail = {},
    .fails = {},
    .source = "tdh_vp_init.c of the tdxio branch",
    .checks = kVpInitChecks,
    .effect =
        "the vCPU is ready, and associated: it wants a VP.FLUSH also if it never runs. Version 1, "
        "which Linux calls, holds the TDR exclusively",
    .differs = "what a guest sees of its topology does not depend on the version"};
constinit const Row kVpEnter{
    .number = 0,
    .name = "TDH.VP.ENTER",
    .detail = {},
    .fails = {},
    .source = "src/td_transitions/tdh_vp_enter.c and check_and_associate_vcpu()",
    .checks = kVpEnterChecks,
    .effect =
        "the guest runs, in the TLB epoch of now; TDVPR and TDR are held, shared, until it "
        "leaves. The last two checks find the vCPU associated, and leave it so",
    .differs =
        "who is inside of a vCPU is another processor, whatever its number; other MSRs, nested "
        "VMs, single-stepping and RECOVERABLE hints are not looked at"};
constinit const Row kVpFlush{.number = 18,
                             .name = "TDH.VP.FLUSH",
                             .detail = {},
                             .fails = {},
                             .source = "tdh_vp_flush.c",
                             .checks = kVpFlushChecks,
                             .effect =
                                 "no processor has state of the vCPU, so that it can run on "
                                 "another one",
                             .differs = {}};
constinit const Row kMngVpflushdone{
    .number = 19,
    .name = "TDH.MNG.VPFLUSHDONE",
    .detail = {},
    .fails = {},
    .source = "tdh_mng_vpflushdone.c",
    .checks = kVpflushdoneChecks,
    .effect = "BLOCKED: nothing runs with the key any more. A fatal TD is as good",
    .differs = {}};
constinit const Row kPhymemCacheWb{.number = 40,
                                   .name = "TDH.PHYMEM.CACHE.WB",
                                   .detail = {},
                                   .fails = {},
                                   .source = "tdh_phymem_cache_wb.c",
                                   .checks = kCacheWbChecks,
                                   .effect = "all keys that wait are written back; interruptible",
                                   .differs = "it takes no START or RESUME, and resumes by itself"};
constinit const Row kMngKeyFreeid{.number = 20,
                                  .name = "TDH.MNG.KEY.FREEID",
                                  .detail = {},
                                  .fails = {},
                                  .source = "tdh_mng_key_freeid.c",
                                  .checks = kFreeidChecks,
                                  .effect = "TEARDOWN: the key is free",
                                  .differs = {}};
constinit const Row kPhymemPageReclaim{.number = 28,
                                       .name = "TDH.PHYMEM.PAGE.RECLAIM",
                                       .detail = {},
                                       .fails = {},
                                       .source = "tdh_phymem_page_reclaim.c",
                                       .checks = kReclaimChecks,
                                       .effect =
                                           "the page is the host's; RCX type, RDX owner (a TDR has "
                                           "none), R8 level, also with errors from "
                                           "IOMMU_MT_PAGE_IN_USE on",
                                       .differs = "pages of 4 KiB only"};

}  // namespace teeio::tdx::row
