// How objects are numbered and destroyed.
#include "probe.h"

int main() {
  const int iommufd = probe::open_iommufd();
  iommu_ioas_alloc alloc = {};
  alloc.size = sizeof(alloc);
  alloc.flags = 1;
  probe::say(probe::call(iommufd, IOMMU_IOAS_ALLOC, alloc), "IOAS_ALLOC with a flag");

  for (int i = 0; i < 3; ++i) probe::say_value(probe::alloc_ioas(iommufd), "IOAS_ALLOC");
  probe::say(probe::destroy(iommufd, 2), "DESTROY 2");
  probe::say(probe::destroy(iommufd, 2), "DESTROY 2 again");
  probe::say_value(probe::alloc_ioas(iommufd), "IOAS_ALLOC");
  for (const std::uint32_t id : {0U, 9U, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
    probe::say(probe::destroy(iommufd, id), "DESTROY 0x%x", id);
  }

  const int other = probe::open_iommufd();
  probe::say(probe::destroy(other, 1), "DESTROY 1 in another context");
  probe::say_value(probe::alloc_ioas(other), "IOAS_ALLOC in another context");
}
