#include "firmware/rmm/rows.h"
#include "firmware/rmm/shared_checks.h"

// SMMUs and stateful operations: TF-RMM 9a7f8ef46378, runtime/rmi/{psmmu,sro,sro_smmu}.c,
// lib/smmuv3, lib/sro_context, lib/addr_list.

namespace teeio::rmm::row {
namespace {

constexpr Check kNoFeature{"feature", Code::kNotSupported, "the monitor has no device assignment"};
constexpr Check kPsmmu{"psmmu", Code::kInput, "no SMMU has that base"};
constexpr Check kSid{"sid", Code::kInput, "the stream ID does not begin a table, or is too large"};

constexpr Check kActivateChecks[] = {
    kNoFeature,
    kPsmmu,
    {"params", Code::kInput, "the parameters' page is not the host's"},
    {"flags", Code::kInput, "ATS or PRI is asked for"},
    {"state", Code::kInput, "the PSMMU is not INACTIVE"},
    kReserve};
constexpr Check kDeactivateChecks[] = {
    kNoFeature,
    kPsmmu,
    {"state", Code::kInput, "the PSMMU is not ACTIVE"},
    kReserve,
    {"tables", Code::kInput, "the PSMMU has level-2 stream tables"}};
constexpr Check kStL2CreateChecks[] = {kNoFeature, kPsmmu, kSid, kReserve};
constexpr Check kStL2DestroyChecks[] = {
    kNoFeature,
    kPsmmu,
    kSid,
    kReserve,
    {"table", Code::kInput, "there is no such table, or entries of it are in use"}};

constexpr Check kOpHandle{"handle", Code::kInput, "no operation that waits has that handle"};
constexpr Check kListAligned{"list_aligned", Code::kInput, "the list's address is not aligned"};

constexpr Check kContinueChecks[] = {kOpHandle,
                                     {"expected", Code::kInput, "the operation waits for memory"}};
constexpr Check kDonateChecks[] = {
    kOpHandle,
    {"expected", Code::kInput, "the operation does not ask for memory"},
    kListAligned,
    {"list", Code::kInput, "the list is not the host's"},
    {"descriptor", Code::kInput,
     "a descriptor is not aligned, of the wrong state, or the memory not contiguous"},
    {"amount", Code::kInput, "more memory than was asked for"},
    {"partial", Code::kInput, "a part of contiguous memory"}};
constexpr Check kReclaimChecks[] = {
    kOpHandle,
    kListAligned,
    {"expected", Code::kInput, "the operation has no memory to give back"},
    {"list", Code::kInput, "the list is not the host's"}};
constexpr Check kCancelChecks[] = {kOpHandle,
                                   {"cancel", Code::kInput, "the operation cannot be cancelled"}};

}  // namespace

constinit const Row kPsmmuActivate{
    .number = 0x87,
    .name = "RMI_PSMMU_ACTIVATE",
    .fails = {},
    .source = "runtime/rmi/psmmu.c, smc_psmmu_activate() to psmmu_activate_finish()",
    .checks = kActivateChecks,
    .effect =
        "BUSY and INCOMPLETE; the host donates the level-1 stream table, the command queue "
        "and the event queue, each contiguous; OP_CONTINUE gives ACTIVE",
    .differs = "two, one and one granules; no registers behind it"};
constinit const Row kPsmmuDeactivate{
    .number = 0x88,
    .name = "RMI_PSMMU_DEACTIVATE",
    .fails = {},
    .source = "runtime/rmi/psmmu.c, smc_psmmu_deactivate(); lib/smmuv3, smmuv3_psmmu_deactivate()",
    .checks = kDeactivateChecks,
    .effect = "INCOMPLETE; the host reclaims the memory; OP_CONTINUE gives INACTIVE",
    .differs = {}};
constinit const Row kPsmmuStL2Create{
    .number = 0x8b,
    .name = "RMI_PSMMU_ST_L2_CREATE",
    .fails = {},
    .source =
        "runtime/rmi/psmmu.c, smc_psmmu_st_l2_create(); lib/smmuv3, "
        "smmuv3_psmmu_register_st_l2()",
    .checks = kStL2CreateChecks,
    .effect =
        "INCOMPLETE; the host donates a granule; OP_CONTINUE: 64 entries. A PSMMU that is "
        "not ACTIVE, or has the table: the granule is reclaimed, then INPUT",
    .differs = {}};
constinit const Row kPsmmuStL2Destroy{
    .number = 0x8c,
    .name = "RMI_PSMMU_ST_L2_DESTROY",
    .fails = {},
    .source =
        "runtime/rmi/psmmu.c, smc_psmmu_st_l2_destroy(); lib/smmuv3, "
        "smmuv3_psmmu_release_st_l2()",
    .checks = kStL2DestroyChecks,
    .effect = "INCOMPLETE; the host reclaims the granule",
    .differs = {}};

constinit const Row kOpContinue{.number = 0xb3,
                                .name = "RMI_OP_CONTINUE",
                                .fails = {},
                                .source = "runtime/rmi/sro.c, smc_op_continue()",
                                .checks = kContinueChecks,
                                .effect = "the operation's next part, with its result",
                                .differs = "no flags"};
constinit const Row kOpMemDonate{
    .number = 0xb8,
    .name = "RMI_OP_MEM_DONATE",
    .fails = {},
    .source =
        "runtime/rmi/sro.c, smc_op_mem_donate(); lib/addr_list, addr_list_validate(); "
        "lib/sro_context, sro_obj_memory_donate(); runtime/rmi/sro_smmu.c, smmu_memory_donate()",
    .checks = kDonateChecks,
    .effect =
        "x1: granules that were taken; INCOMPLETE until all are there. A first granule that "
        "is not DELEGATED, or any of contiguous memory, makes the operation fail: x1 is 0, the "
        "host reclaims, also where nothing had been taken, and then INPUT. RMI_PSMMU_ST_L2_CREATE "
        "has nothing to reclaim: INPUT at OP_CONTINUE",
    .differs =
        "blocks larger than a granule are not taken; without the defects of that commit a failed "
        "donation to RMI_PSMMU_ST_L2_CREATE is INCOMPLETE, not SUCCESS"};
constinit const Row kOpMemReclaim{.number = 0xb9,
                                  .name = "RMI_OP_MEM_RECLAIM",
                                  .fails = {},
                                  .source =
                                      "runtime/rmi/sro.c, smc_op_mem_reclaim(); lib/sro_context, "
                                      "sro_obj_memory_reclaim(); runtime/rmi/sro_smmu.c, "
                                      "smmu_memory_reclaim(); lib/addr_list, addr_list_add_block()",
                                  .checks = kReclaimChecks,
                                  .effect =
                                      "granules are DELEGATED, of a PDEV or REC as many as the "
                                      "list has entries, of a PSMMU all, and neighbours are told "
                                      "as one descriptor; x1: descriptors in the host's list; "
                                      "INCOMPLETE until all are told. A list that is not the "
                                      "host's leaves them DELEGATED, to be told by the next call",
                                  .differs = {}};
constinit const Row kOpCancel{.number = 0xba,
                              .name = "RMI_OP_CANCEL",
                              .fails = {},
                              .source = "runtime/rmi/sro.c, smc_op_cancel()",
                              .checks = kCancelChecks,
                              .effect = "none: no operation of that commit can be cancelled",
                              .differs = {}};

}  // namespace teeio::rmm::row
