// With a device attached, IOAS_MAP pins the memory, so now it is looked at.
#include <sys/eventfd.h>

#include "probe.h"

namespace {

constexpr std::uint32_t kReadWrite = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
constexpr std::uint32_t kFixed = IOMMU_IOAS_MAP_FIXED_IOVA | kReadWrite;

int iommufd;
std::uint32_t ioas;

void map(const char* what, std::uint32_t flags, std::uint64_t va, std::uint64_t length,
         std::uint64_t iova) {
  iommu_ioas_map arg = {sizeof(arg), flags, ioas, 0, va, length, iova};
  probe::say(probe::call(iommufd, IOMMU_IOAS_MAP, arg), "%s", what);
}

void map_file(const char* what, int fd, std::uint64_t start, std::uint64_t length,
              std::uint32_t flags = kReadWrite) {
  iommu_ioas_map_file arg = {sizeof(arg), flags, ioas, fd, start, length, 0};
  probe::say(probe::call(iommufd, IOMMU_IOAS_MAP_FILE, arg), "%s", what);
}

}  // namespace

int main() {
  const probe::BoundDevice bound = probe::open_bound();
  iommufd = bound.iommufd;
  ioas = probe::alloc_ioas(iommufd);
  probe::say(probe::attach(bound.device, ioas), "attach");
  std::byte* memory = probe::pages(4);
  const std::uint64_t va = probe::address_of(memory);

  map("a page", kFixed, va, 4096, 0x10000);
  map("length 1", kFixed, va, 1, 0x20000);
  map("odd iova", kFixed, va, 4096, 0x20800);
  map("odd va", kFixed, va + 0x800, 4096, 0x20000);
  map("across the interrupt window", kFixed, va, 8192, 0xfedff000);
  map("in the interrupt window", kFixed, va, 4096, 0xfee00000);
  map("behind the interrupt window", kFixed, va, 4096, 0xfef00000);
  map("end of the iova space", kFixed, va, 4096, ~0ULL - 4095);
  map("va that is not mapped", kFixed, 0x1000, 4096, 0x30000);
  map("va of the kernel", kFixed, 0xffff800000000000ULL, 4096, 0x30000);
  mprotect(memory + probe::kPage, probe::kPage, PROT_READ);
  map("read-only memory, writeable", kFixed, va + 4096, 4096, 0x30000);
  map("read-only memory, readable", IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE, va + 4096,
      4096, 0x30000);
  mprotect(memory + probe::kPage, probe::kPage, PROT_READ | PROT_WRITE);
  map("writeable only", IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE, va, 4096, 0x40000);
  munmap(memory + 3 * probe::kPage, probe::kPage);
  map("a hole at the end", kFixed, va + 2 * 4096, 8192, 0x50000);
  map("the same iova after that failure", kFixed, va, 8192, 0x50000);

  const int memfd = memfd_create("m", MFD_ALLOW_SEALING);
  if (ftruncate(memfd, 2 * probe::kPage) != 0) probe::give_up("ftruncate");
  map_file("a memfd", memfd, 0, 2 * probe::kPage);
  map_file("odd start in a memfd", memfd, 1, probe::kPage);
  map_file("beyond the end of a memfd", memfd, 2 * probe::kPage, probe::kPage);
  map_file("across the end of a memfd", memfd, probe::kPage, 2 * probe::kPage);
  map_file("an eventfd", eventfd(0, 0), 0, probe::kPage);
  map_file("iommufd itself", iommufd, 0, probe::kPage);
  map_file("a directory", open("/", O_RDONLY | O_DIRECTORY), 0, probe::kPage);
}
