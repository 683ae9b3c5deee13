// A program that executes itself is another address space, also where teeio cannot ask by
// process_vm_readv(): what it has pinned before is not charged to what it is now.
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

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "container: %s (%s)\n", what, std::strerror(errno));
  std::exit(1);
}

long pinned() {
  std::FILE* const file = std::fopen("/proc/self/status", "r");
  check(file != nullptr, "/proc/self/status");
  char line[256];
  long value = -1;
  while (std::fgets(line, sizeof(line), file) != nullptr)
    if (std::strncmp(line, "VmPin:", 6) == 0) value = std::atol(line + 6);
  std::fclose(file);
  return value;
}

void pin_a_page() {
  const int iommufd = open("/dev/iommu", O_RDWR);  // stays open when the program executes itself
  check(iommufd >= 0, "/dev/iommu");
  iommu_ioas_alloc alloc = {};
  alloc.size = sizeof(alloc);
  check(ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc) == 0, "IOMMU_IOAS_ALLOC");
  iommu_test_cmd function = {};
  function.size = sizeof(function);
  function.op = IOMMU_TEST_OP_MOCK_DOMAIN;
  function.id = alloc.out_ioas_id;
  check(ioctl(iommufd, IOMMU_TEST_CMD, &function) == 0, "a mock function");
  void* const memory = mmap(nullptr, kPage, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  check(memory != MAP_FAILED, "memory");
  iommu_ioas_map map = {};
  map.size = sizeof(map);
  map.flags = 7;
  map.ioas_id = alloc.out_ioas_id;
  map.user_va = reinterpret_cast<std::uintptr_t>(memory);
  map.length = kPage;
  map.iova = 1U << 24U;
  check(ioctl(iommufd, IOMMU_IOAS_MAP, &map) == 0, "IOMMU_IOAS_MAP");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 1) {
    pin_a_page();
    check(pinned() == 4, "the pinned page is not in VmPin");
    execl("/proc/self/exe", argv[0], "again", nullptr);
    check(false, "execl");
  }
  check(pinned() == 0, "what the program had pinned before is in VmPin of what it is now");
  std::puts("another address space");
}
