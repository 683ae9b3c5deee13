// Where IOAS_MAP puts an area when the program does not say.
#include "probe.h"

namespace {

long map(int iommufd, iommu_ioas_map& arg, std::uint64_t length) {
  arg.length = length;
  arg.iova = 0xdead000;
  return probe::call(iommufd, IOMMU_IOAS_MAP, arg);
}

}  // namespace

int main() {
  const int iommufd = probe::open_iommufd();
  const std::uint64_t memory = probe::address_of(probe::pages(64));
  iommu_ioas_map arg = {};
  arg.size = sizeof(arg);
  arg.flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
  arg.ioas_id = probe::alloc_ioas(iommufd);
  arg.user_va = (memory + 0xffff) & ~0xffffULL;  // 64 KiB aligned, so that the run decides nothing

  std::uint64_t seen[4] = {};
  for (std::uint64_t& iova : seen) {
    probe::say(map(iommufd, arg, 4096), "4096 bytes anywhere");
    iova = arg.iova;
  }
  probe::say_if(seen[0] != 0xdead000, "iova is an answer");
  probe::say_if(seen[0] % 4096 == 0 && seen[1] % 4096 == 0, "page aligned");
  probe::say_if(seen[1] != seen[0] && seen[2] != seen[1] && seen[3] != seen[2], "all different");

  arg.user_va += 1;
  probe::say(map(iommufd, arg, 100), "100 bytes from an odd address");
  probe::say_value(static_cast<long>(arg.iova % 4096), "offset in the page is kept");
  arg.user_va -= 1;
  probe::say(map(iommufd, arg, ~0ULL - 4095), "more than there is");
  probe::say(map(iommufd, arg, 0), "nothing");
}
