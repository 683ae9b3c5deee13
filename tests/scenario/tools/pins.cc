// Each private page of a program mapped alone, more of them than teeio may open files, before
// and after the program executes itself: pins PAGES [again].
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "abi/iommufd_test.h"

namespace {

using namespace teeio::abi;

constexpr std::uint64_t kPage = 4096;
int iommufd = -1;
std::uint32_t ioas = 0;

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "pins: %s (%s)\n", what, std::strerror(errno));
  std::exit(1);
}

/// An IOAS whose mappings are pinned, for a function is attached to it.
void begin() {
  iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
  check(iommufd >= 0, "/dev/iommu");
  iommu_ioas_alloc alloc = {};
  alloc.size = sizeof(alloc);
  check(ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc) == 0, "IOMMU_IOAS_ALLOC");
  ioas = alloc.out_ioas_id;
  iommu_test_cmd function = {};
  function.size = sizeof(function);
  function.op = IOMMU_TEST_OP_MOCK_DOMAIN;
  function.id = ioas;
  check(ioctl(iommufd, IOMMU_TEST_CMD, &function) == 0, "a mock function");
}

bool map(std::uint64_t address, std::uint64_t iova) {
  iommu_ioas_map arg = {};
  arg.size = sizeof(arg);
  arg.flags = 7;
  arg.ioas_id = ioas;
  arg.user_va = address;
  arg.length = kPage;
  arg.iova = iova;
  return ioctl(iommufd, IOMMU_IOAS_MAP, &arg) == 0;
}

std::uint64_t take(void* where, std::uint64_t pages) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
  void* const memory = mmap(where, pages * kPage, PROT_READ | PROT_WRITE,
                            where == nullptr ? flags : flags | MAP_FIXED_NOREPLACE, -1, 0);
  check(memory != MAP_FAILED, "memory");
  return reinterpret_cast<std::uint64_t>(memory);
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t pages = std::strtoull(argv[1], nullptr, 10);
  const bool is_second = argc == 3;
  constexpr std::uint64_t kFirst = 1U << 24U;
  void* const far_off = reinterpret_cast<void*>(1UL << 44U);  // where no program has anything
  begin();
  if (is_second)
    check(!map(1UL << 44U, kFirst) && errno == EFAULT, "memory of before is there still");
  const std::uint64_t memory = take(nullptr, pages);
  for (std::uint64_t i = 0; i < pages; ++i)
    check(map(memory + i * kPage, kFirst + i * kPage), "IOMMU_IOAS_MAP of a page");
  if (is_second) return std::puts("pinned before and after") < 0 ? 1 : 0;
  check(map(take(far_off, 1), kFirst + pages * kPage), "IOMMU_IOAS_MAP of the last page");
  execl("/proc/self/exe", argv[0], argv[1], "again", nullptr);
  check(false, "execl");
}
