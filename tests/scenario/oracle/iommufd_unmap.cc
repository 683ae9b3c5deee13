// IOAS_UNMAP: what may be cut, and how much it says it took.
#include "probe.h"

namespace {

int iommufd;
std::uint32_t ioas;
std::uint64_t memory;

void map(std::uint64_t iova, std::uint64_t length) {
  iommu_ioas_map arg = {};
  arg.size = sizeof(arg);
  arg.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE;
  arg.ioas_id = ioas;
  arg.user_va = memory;
  arg.length = length;
  arg.iova = iova;
  if (probe::call(iommufd, IOMMU_IOAS_MAP, arg) != 0) probe::give_up("IOMMU_IOAS_MAP");
}

void unmap(const char* what, std::uint64_t iova, std::uint64_t length) {
  iommu_ioas_unmap arg = {};
  arg.size = sizeof(arg);
  arg.ioas_id = ioas;
  arg.iova = iova;
  arg.length = length;
  probe::say(probe::call(iommufd, IOMMU_IOAS_UNMAP, arg), "%s", what);
  printf("  length is now %lld\n", static_cast<long long>(arg.length));
}

}  // namespace

int main() {
  iommufd = probe::open_iommufd();
  ioas = probe::alloc_ioas(iommufd);
  memory = probe::address_of(probe::pages(4));

  unmap("everything, with nothing there", 0, ~0ULL);
  unmap("a page, with nothing there", 0x10000, 4096);
  map(0x10000, 0x4000);
  unmap("first half of an area", 0x10000, 0x2000);
  unmap("second half of an area", 0x12000, 0x2000);
  unmap("middle of an area", 0x11000, 0x1000);
  unmap("an area and more", 0xf000, 0x6000);
  map(0x10000, 0x1000);
  map(0x12000, 0x1000);
  unmap("two areas with a hole", 0x10000, 0x3000);
  map(0x10000, 0x1000);
  map(0x11000, 0x1000);
  unmap("two areas side by side", 0x10000, 0x2000);
  map(0x10000, 0x1000);
  unmap("length 0", 0x10000, 0);
  unmap("length 1", 0x10000, 1);
  unmap("iova wraps", 0x10000, ~0ULL - 0x100);
  unmap("length ~0 from an iova that is not 0", 0x10000, ~0ULL);
  unmap("everything", 0, ~0ULL);
  ++ioas;
  unmap("no such IOAS", 0, ~0ULL);
}
