// Calls that meet few others: those of pairs that would say nothing are left out.

#include "abi/psp_sev.h"
#include "base/check.h"
#include "explore/scenario/guest.h"
#include "explore/scenario/pair_parts.h"
#include "explore/scenario/with_size.h"
#include "host/mm/plain_files.h"

namespace teeio::explore {
namespace {

constexpr std::uint64_t kFileIova = 0x30'0000;

Result<void> map_memfd(Pair& pair) {
  auto arg = with_size<abi::iommu_ioas_map_file>();
  arg.flags =
      abi::IOMMU_IOAS_MAP_FIXED_IOVA | abi::IOMMU_IOAS_MAP_READABLE | abi::IOMMU_IOAS_MAP_WRITEABLE;
  arg.ioas_id = pair.vmm.ioas_id;
  arg.fd = pair.memfd;
  arg.length = kPageSize;
  arg.iova = kFileIova;
  return made(pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_IOAS_MAP_FILE, arg));
}

void make_memfd(Pair& pair) {
  if (pair.memfd >= 0) return;
  const auto fd = pair.vmm.install(
      object::Ref<object::File>(object::Ref<mm::PlainMemfd>::adopt(new mm::PlainMemfd(kPageSize))));
  TEEIO_CHECK(fd.has_value(), "a program can have a memfd");
  pair.memfd = *fd;
}

/// Which is for who has nothing but files mapped.
void map_files_only(Pair& pair) {
  make_memfd(pair);
  must(unmap_at(pair.vmm, kMappedIova));
  must(map_memfd(pair));
}

Result<void> change_process(Pair& pair) {
  auto arg = with_size<abi::iommu_ioas_change_process>();
  return made(pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_IOAS_CHANGE_PROCESS, arg));
}

Result<void> fault_queue(Pair& pair) {
  auto arg = with_size<abi::iommu_fault_alloc>();
  TEEIO_TRY(pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_FAULT_QUEUE_ALLOC, arg));
  TEEIO_TRY(pair.vmm.close(static_cast<int>(arg.out_fault_fd)));
  return pair.vmm.destroy(arg.out_fault_id);
}

/// What ends an iommufd's mappings and objects, or changes them.
std::vector<std::string_view> of_mappings() {
  return {"IOAS_MAP_FILE", "CHANGE_PROCESS", "FAULT_QUEUE", "IOAS_MAP",   "IOAS_UNMAP",
          "IOAS_COPY",     "ATTACH",         "DETACH",      "HWPT_ALLOC", "BIND",
          "UNBIND",        "iommufd-close",  "exit",        "reset"};
}
/// What the secure processor has to do.
std::vector<std::string_view> of_firmware() {
  return {"connect", "disconnect", "BIND", "UNBIND", "CREATE_VM", "vm-close", "exit"};
}

}  // namespace

std::vector<PairCall> pair_calls_of_few() {
  return {
      {.name = "IOAS_MAP_FILE", .act = map_memfd, .prepare = make_memfd, .against = of_mappings()},
      {.name = "CHANGE_PROCESS",
       .act = change_process,
       .prepare = map_files_only,
       .against = of_mappings()},
      {.name = "FAULT_QUEUE", .act = fault_queue, .against = of_mappings()},
      {.name = "SEV_ISSUE_CMD",
       .act = [](Pair& p) { return issue_sev(p.stage.root(), p.sev, abi::SNP_COMMIT, 0); },
       .prepare =
           [](Pair& p) {
             const auto fd = p.stage.root().open("/dev/sev");
             TEEIO_CHECK(fd.has_value(), "root cannot open /dev/sev");
             p.sev = *fd;
           },
       .against = of_firmware(),
       .only = {machine::TsmKind::kSev}},
  };
}

}  // namespace teeio::explore
