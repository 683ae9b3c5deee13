#include "firmware/rmm/rows.h"
#include "firmware/rmm/shared_checks.h"

// Device memory of a realm: TF-RMM 9a7f8ef46378, runtime/rmi/{rtt,rtt_map,rtt_unmap}.c,
// lib/s2tt.

namespace teeio::rmm::row {
namespace {

constexpr Check kRd{"rd", Code::kInput, "the granule is no realm"};
constexpr Check kRange{"range", Code::kInput, "the range is empty or not aligned"};
constexpr Check kProtected{"place", Code::kInput,
                           "the range is not in the realm's protected address space"};
constexpr Check kListCount{"list_count", Code::kInput, "the list has no entries"};
constexpr Check kList{"list", Code::kInput, "the list is not aligned, or not the host's"};

// validate_map_inputs_common() and map_pop_next_block().
constexpr Check kRealm{"realm", Code::kRealm, "the realm is not NEW or ACTIVE"};
constexpr Check kEmpty{"range", Code::kInput, "the range is empty"};
constexpr Check kType{"type", Code::kInput,
                      "the output addresses are neither one descriptor nor a list"};
constexpr Check kDescriptor{"descriptor", Code::kInput,
                            "the first descriptor is not of delegated memory"};
constexpr Check kMapProtected{
    "place", Code::kInput,
    "base is not aligned to the first descriptor's block, that is larger than 1 GiB, or the range "
    "not in the realm's protected address space"};
constexpr Check kShort{"short", Code::kRtt, "the range is shorter than a block"};
constexpr Check kWalk{"walk", Code::kRtt, "there is no table of the block's level"};
constexpr Check kBlocks{"blocks", Code::kInput,
                        "the descriptors have no block, or the first is not of delegated memory"};
constexpr Check kSize{"size", Code::kRtt,
                      "the first block has not the first descriptor's size (which has none)"};
constexpr Check kPa{"pa", Code::kInput,
                    "the address is not aligned to the block, or has more than 48 bits"};

constexpr Check kMapChecks[] = {
    kReserve,
    kRd,
    kRealm,
    kEmpty,
    kType,
    kListCount,
    kList,
    kDescriptor,
    kMapProtected,
    kShort,
    {"vdev", Code::kInput, "the granule is no VDEV"},
    {"foreign", Code::kInput, "the VDEV is another realm's"},
    kWalk,
    kBlocks,
    kSize,
    kPa,
    {"outside", Code::kInput, "the block is not inside of one of the VDEV's ranges"},
    {"entry", Code::kRtt, "the entry is in use, or its RIPAS is RAM"},
    {"granule", Code::kInput, "a granule of the block is not DELEGATED device memory"}};

constexpr Check kDataMapChecks[] = {
    kReserve,
    kRd,
    kRealm,
    kEmpty,
    kType,
    kListCount,
    kList,
    kDescriptor,
    kMapProtected,
    kShort,
    kWalk,
    kBlocks,
    kSize,
    kPa,
    {"entry", Code::kRtt, "the entry is a table, device memory, or other RAM"},
    {"granule", Code::kInput, "a granule of the block is not DELEGATED RAM"}};

constexpr Check kUnprotMapChecks[] = {
    kRd,
    kRealm,
    kEmpty,
    kType,
    kListCount,
    kList,
    {"place", Code::kInput,
     "base is not aligned to the first descriptor's block, that is larger than 1 GiB, or both ends "
     "of the range are protected, or one not in the realm's address space"},
    kShort,
    {"access", Code::kInput, "S2AP has more than its two direct permissions"},
    kWalk,
    {"blocks", Code::kInput, "the descriptors have no block"},
    kSize,
    kPa,
    {"memory", Code::kInput, "MEMATTR is the one reserved value"},
    {"entry", Code::kRtt,
     "the entry is a table or protected, or maps something else, or the same in another way"}};

constexpr Check kDataMapInitChecks[] = {
    {"flags", Code::kInput, "a flag is set that does not exist"},
    {"self", Code::kInput, "the realm's granule is to be its own data"},
    {"source", Code::kInput, "the source page is not the host's"},
    kRd,
    {"realm", Code::kRealm, "the realm is not NEW"},
    {"place", Code::kInput,
     "the address is not aligned, or not in the realm's protected address space"},
    {"walk", Code::kRtt, "there is no table of level 3"},
    {"entry", Code::kRtt, "the entry maps something"},
    {"granule", Code::kInput, "the data's granule is not DELEGATED RAM"}};

constexpr Check kUnmapChecks[] = {
    kReserve,
    kRd,
    kRange,
    kProtected,
    {"sbz", Code::kInput, "an output address or count is given, and no list is wanted"},
    kListCount,
    kList,
    {"type", Code::kInput, "there is no such kind of output"},
    {"walk", Code::kRtt, "base does not begin an entry of the level where the walk ends"},
    {"entry", Code::kRtt, "the first entry is a table, or larger than the range"}};

constexpr Check kUnprotUnmapChecks[] = {
    kReserve,
    kRd,
    kRange,
    {"place", Code::kInput,
     "an end of the range is protected, or not in the realm's address space"},
    {"sbz", Code::kInput, "an output address or count is given, and no list is wanted"},
    kListCount,
    kList,
    {"type", Code::kInput, "there is no such kind of output"},
    {"walk", Code::kRtt, "base does not begin an entry of the level where the walk ends"},
    {"entry", Code::kRtt, "the first entry is a table, or larger than the range"}};

constexpr Check kValidateChecks[] = {
    {"range", Code::kInput, "the range is empty, or its top not aligned"},
    {"rd_rec", Code::kInput, "a granule is no realm or no REC"},
    {"running", Code::kRec, "the REC is running"},
    {"foreign", Code::kRec, "the REC is another realm's"},
    {"request", Code::kInput, "the realm has not asked for that"},
    {"walk", Code::kRtt, "base does not begin an entry of the level where the walk ends"},
    {"entry", Code::kRtt,
     "the first entry is larger than the range, or does not map the address with RIPAS EMPTY"}};

constexpr Check kCreateChecks[] = {
    {"granule", Code::kInput, "the table's granule is not DELEGATED"},
    kRd,
    {"level", Code::kInput, "no table of that level covers that address"},
    {"walk", Code::kRtt, "there is no table above"},
    {"entry", Code::kRtt, "the entry above is a table already"}};
constexpr Check kDestroyChecks[] = {
    kRd,
    {"level", Code::kInput, "no table of that level covers that address"},
    {"walk", Code::kRtt, "there is no such table"},
    {"live", Code::kRtt, "the table maps something, or has tables below it"}};
constexpr Check kFoldChecks[] = {
    kRd,
    {"level", Code::kInput, "no table of that level covers that address"},
    {"walk", Code::kRtt, "there is no table above"},
    {"table", Code::kRtt, "the entry above is no table"},
    {"mixed", Code::kRtt,
     "the table's entries are not all of a kind, or do not map one aligned block in one way"}};
constexpr Check kInitRipasChecks[] = {
    kEmpty,
    kRd,
    {"place", Code::kInput,
     "an end of the range is not aligned, or not in the realm's protected address space"},
    {"realm", Code::kRealm, "the realm is not NEW"},
    {"walk", Code::kRtt, "base does not begin an entry of the level where the walk ends"},
    {"entry", Code::kRtt,
     "the first entry is a table, device memory or DESTROYED, or larger than the range"}};
constexpr Check kReadEntryChecks[] = {
    kRd, {"level", Code::kInput, "no entry of that level has that address"}};

constexpr Check kSetRipasChecks[] = {
    {"range", Code::kInput, "the range is empty, or its top not aligned"},
    {"rd_rec", Code::kInput, "a granule is no realm or no REC"},
    {"running", Code::kRec, "the REC is running"},
    {"foreign", Code::kRec, "the REC is another realm's"},
    {"request", Code::kInput, "the realm has not asked for that"},
    {"walk", Code::kRtt, "base does not begin an entry of the level where the walk ends"},
    {"entry", Code::kRtt, "the first entry is larger than the range, or may not be changed so"}};

}  // namespace

constinit const Row kRttDevMap{
    .number = 0xa7,
    .name = "RMI_RTT_DEV_MAP",
    .fails = "RMI_RTT_DEV_MAP fails",
    .source = "runtime/rmi/rtt_map.c, smc_rtt_dev_map() and validate_map_inputs_common()",
    .checks = kMapChecks,
    .effect =
        "x1: how far, within one table; RIPAS stays, granules are MAPPED. What stops it after "
        "the first block is no error",
    .differs =
        "it never yields, as without RMM_RTT_MAP_UNMAP_CHECK_ISR_EL1 (the default): no entry is "
        "BUSY, and it is never INCOMPLETE"};
constinit const Row kRttDevUnmap{
    .number = 0xa8,
    .name = "RMI_RTT_DEV_UNMAP",
    .fails = "RMI_RTT_DEV_UNMAP fails",
    .source =
        "runtime/rmi/rtt_unmap.c, smc_rtt_dev_unmap(), validate_unmap_inputs() and "
        "unmap_make_new_s2tte()",
    .checks = kUnmapChecks,
    .effect =
        "x1: how far, within one table; x2: the descriptor of what was mapped (SINGLE), x3: "
        "how many are in the list. Entries that map nothing are passed over; RIPAS DEV "
        "becomes DESTROYED",
    .differs =
        "it never yields, as without RMM_RTT_MAP_UNMAP_CHECK_ISR_EL1 (the default): it is never "
        "INCOMPLETE"};
constinit const Row kRttDataMapInit{
    .number = 0x03,
    .name = "RMI_RTT_DATA_MAP_INIT",
    .fails = "RMI_RTT_DATA_MAP_INIT fails",
    .source = "runtime/rmi/rtt_map.c, smc_rtt_data_map_init()",
    .checks = kDataMapInitChecks,
    .effect =
        "a page with the source's bytes, RIPAS RAM; the granule is DATA, and the realm's initial "
        "measurement has it",
    .differs = {}};
constinit const Row kRttDataMap{
    .number = 0xa5,
    .name = "RMI_RTT_DATA_MAP",
    .fails = "RMI_RTT_DATA_MAP fails",
    .source = "runtime/rmi/rtt_map.c, smc_rtt_data_map() and validate_map_inputs_common()",
    .checks = kDataMapChecks,
    .effect =
        "x1: how far, within one table; RIPAS stays, granules are scrubbed and DATA. What "
        "stops it after the first block is no error, nor is the same block twice",
    .differs =
        "it never yields, as without RMM_RTT_MAP_UNMAP_CHECK_ISR_EL1 (the default): no entry is "
        "BUSY, and it is never INCOMPLETE"};
constinit const Row kRttDataUnmap{
    .number = 0xa6,
    .name = "RMI_RTT_DATA_UNMAP",
    .fails = "RMI_RTT_DATA_UNMAP fails",
    .source = "runtime/rmi/rtt_unmap.c, smc_rtt_data_unmap() and validate_unmap_inputs()",
    .checks = kUnmapChecks,
    .effect =
        "as RTT_DEV_UNMAP, of RAM: RIPAS RAM becomes DESTROYED; what was valid is out of the "
        "caches of CPUs and SMMUs",
    .differs =
        "it never yields, as without RMM_RTT_MAP_UNMAP_CHECK_ISR_EL1 (the default): it is never "
        "INCOMPLETE"};
constinit const Row kRttUnprotMap{
    .number = 0xab,
    .name = "RMI_RTT_UNPROT_MAP",
    .fails = {},
    .source =
        "runtime/rmi/rtt_map.c, smc_rtt_unprot_map(), build_unprot_map_attrs() and "
        "unprot_map_one_entry(); lib/s2tt, host_ns_s2tte_is_valid()",
    .checks = kUnprotMapChecks,
    .effect =
        "x1: how far, within one table; the host's memory, whatever it is, with its attributes. "
        "What stops it after the first block is no error, nor is the same block in the same way "
        "twice",
    .differs =
        "no indirect permissions. KVM here does not call it: what a realm reaches where nothing is "
        "protected is KVM's own table"};
constinit const Row kRttUnprotUnmap{
    .number = 0xac,
    .name = "RMI_RTT_UNPROT_UNMAP",
    .fails = {},
    .source = "runtime/rmi/rtt_unmap.c, smc_rtt_unprot_unmap() and validate_unmap_inputs()",
    .checks = kUnprotUnmapChecks,
    .effect =
        "as RTT_DEV_UNMAP, of the host's memory: out of the caches of CPUs and SMMUs; a list says "
        "that it is undelegated",
    .differs =
        "it never yields, as without RMM_RTT_MAP_UNMAP_CHECK_ISR_EL1 (the default): it is never "
        "INCOMPLETE"};
constinit const Row kRttDevValidate{
    .number = 0x13,
    .name = "RMI_RTT_DEV_VALIDATE",
    .fails = "RMI_RTT_DEV_VALIDATE fails",
    .source = "runtime/rmi/rtt.c, smc_rtt_dev_validate() and rtt_dev_mem_set()",
    .checks = kValidateChecks,
    .effect = "RIPAS DEV as far as entries are EMPTY and map what the realm asked for; x1: how far",
    .differs = {}};
constinit const Row kRttCreate{.number = 0x0d,
                               .name = "RMI_RTT_CREATE",
                               .fails = {},
                               .source = "runtime/rmi/rtt.c, smc_rtt_create()",
                               .checks = kCreateChecks,
                               .effect =
                                   "a table whose entries have the RIPAS of the entry above, and "
                                   "map the parts of its block",
                               .differs = {}};
constinit const Row kRttDestroy{
    .number = 0x0e,
    .name = "RMI_RTT_DESTROY",
    .fails = {},
    .source = "runtime/rmi/rtt.c, smc_rtt_destroy()",
    .checks = kDestroyChecks,
    .effect =
        "x1: the table's granule, DELEGATED; the entry above is unassigned and, where it is "
        "protected, DESTROYED. x2, also with errors of the tables: the next address with something "
        "alive in the table where the walk ended",
    .differs = {}};
constinit const Row kRttFold{
    .number = 0x16,
    .name = "RMI_RTT_FOLD",
    .fails = {},
    .source = "runtime/rmi/rtt.c, rtt_fold(); lib/s2tt, table_maps_block()",
    .checks = kFoldChecks,
    .effect =
        "x1: the table's granule, DELEGATED; the entry above is what each of the table's was: "
        "unassigned, or a block of RAM, device or shared memory",
    .differs = {}};
constinit const Row kRttReadEntry{.number = 0x11,
                                  .name = "RMI_RTT_READ_ENTRY",
                                  .fails = {},
                                  .source = "runtime/rmi/rtt.c, smc_rtt_read_entry()",
                                  .checks = kReadEntryChecks,
                                  .effect =
                                      "x1: level, x2: state, x3: address (of shared memory with "
                                      "its attributes), x4: RIPAS",
                                  .differs = {}};
constinit const Row kRttInitRipas{
    .number = 0x18,
    .name = "RMI_RTT_INIT_RIPAS",
    .fails = {},
    .source = "runtime/rmi/rtt.c, smc_rtt_init_ripas()",
    .checks = kInitRipasChecks,
    .effect =
        "x1: how far, within one table: what is EMPTY becomes RAM, and what is RAM stays so. Not "
        "measured",
    .differs = {}};
constinit const Row kRttSetRipas{
    .number = 0x19,
    .name = "RMI_RTT_SET_RIPAS",
    .fails = {},
    .source = "runtime/rmi/rtt.c, smc_rtt_set_ripas() and update_ripas()",
    .checks = kSetRipasChecks,
    .effect = "what the realm asked for with RSI_IPA_STATE_SET; x1: how far",
    .differs = {}};

}  // namespace teeio::rmm::row
