// Attaching a device to an address space that already holds what it cannot do.
#include "probe.h"

namespace {

void ask(const char* what, std::uint64_t va, std::uint64_t length, std::uint64_t iova) {
  const probe::BoundDevice bound = probe::open_bound();
  const std::uint32_t ioas = probe::alloc_ioas(bound.iommufd);
  iommu_ioas_map arg = {};
  arg.size = sizeof(arg);
  arg.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
  arg.ioas_id = ioas;
  arg.user_va = va;
  arg.length = length;
  arg.iova = iova;
  if (probe::call(bound.iommufd, IOMMU_IOAS_MAP, arg) != 0) probe::give_up("IOMMU_IOAS_MAP");
  probe::say(probe::attach(bound.device, ioas), "attach, with %s", what);
  iommu_ioas_unmap all = {sizeof(all), ioas, 0, ~0ULL};
  if (probe::call(bound.iommufd, IOMMU_IOAS_UNMAP, all) != 0) probe::give_up("IOMMU_IOAS_UNMAP");
  probe::say(probe::attach(bound.device, ioas), "  attach, without");
  close(bound.device);
  close(bound.iommufd);
}

}  // namespace

int main() {
  const std::uint64_t va = probe::address_of(probe::pages(2));
  ask("a good area", va, 4096, 0x10000);
  ask("an area in the interrupt window", va, 4096, 0xfee00000);
  ask("an area at the end of the iova space", va, 4096, ~0ULL - 4095);
  ask("an area of one byte", va, 1, 0x10000);
  ask("an area at an odd iova", va, 4096, 0x10800);
  ask("an area of memory that is not there", 0x1000, 4096, 0x10000);
}
