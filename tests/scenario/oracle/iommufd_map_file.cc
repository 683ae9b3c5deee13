// IOAS_MAP_FILE with a memfd, and with files that are none.
#include <sys/eventfd.h>

#include "probe.h"

namespace {

int iommufd;
std::uint32_t ioas;

iommu_ioas_map_file map(const char* what, int fd, std::uint64_t start, std::uint64_t length,
                        std::uint32_t flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE) {
  iommu_ioas_map_file arg = {};
  arg.size = sizeof(arg);
  arg.flags = flags;
  arg.ioas_id = ioas;
  arg.fd = fd;
  arg.start = start;
  arg.length = length;
  probe::say(probe::call(iommufd, IOMMU_IOAS_MAP_FILE, arg), "%s", what);
  return arg;
}

}  // namespace

int main() {
  iommufd = probe::open_iommufd();
  ioas = probe::alloc_ioas(iommufd);
  const int memfd = memfd_create("m", 0);
  if (ftruncate(memfd, 4 * probe::kPage) != 0) probe::give_up("ftruncate");

  map("a memfd", memfd, 0, 4 * probe::kPage);
  map("its last page", memfd, 3 * probe::kPage, probe::kPage);
  const iommu_ioas_map_file odd = map("odd start", memfd, 1, probe::kPage);
  probe::say_value(static_cast<long>(odd.iova % probe::kPage), "  offset in the page is kept");
  map("beyond the end", memfd, 4 * probe::kPage, probe::kPage);
  map("across the end", memfd, 3 * probe::kPage, 2 * probe::kPage);
  map("length 0", memfd, 0, 0);
  map("start plus length wraps", memfd, ~0ULL - 4095, 2 * probe::kPage);
  map("unknown flag", memfd, 0, probe::kPage, 16);
  map("no protection", memfd, 0, probe::kPage, 0);
  map("fd -1", -1, 0, probe::kPage);
  map("an eventfd", eventfd(0, 0), 0, probe::kPage);
  map("iommufd itself", iommufd, 0, probe::kPage);
  map("a directory", open("/", O_RDONLY | O_DIRECTORY), 0, probe::kPage);
  const int sealed = memfd_create("s", MFD_ALLOW_SEALING);
  if (ftruncate(sealed, probe::kPage) != 0) probe::give_up("ftruncate");
  fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE);
  map("writeable, of a memfd sealed against writing", sealed, 0, probe::kPage);
  ioas += 3;
  map("no such IOAS", memfd, 0, probe::kPage);
}
