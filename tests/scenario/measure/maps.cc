// maps N: microseconds of IOMMU_IOAS_MAP and of IOMMU_IOAS_UNMAP, 4 KiB each, of private memory
// and of a memfd of which another page is mapped.
// Under the bare supervisor, which has no iommufd: of an ioctl that copies 16 bytes in and out.
#include <sys/mman.h>
#include <time.h>

#include "abi/iommufd.h"
#include "programs/check.h"

using namespace teeio::abi;

static double now_us() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

static void floor_of(int count) {
  dummy_pair pair = {41, 0};
  const double start = now_us();
  for (int i = 0; i < count; ++i) CHECK(ioctl(0, DUMMY_ECHO, &pair) == 0);
  printf("%8.2f\n", (now_us() - start) / count);
}

static int iommufd = -1;
static uint32_t ioas = 0;

static void* memory(int flags, int fd) {
  void* const mapped = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, flags, fd, 0);
  CHECK(mapped != MAP_FAILED);
  return mapped;
}

static void map(const void* page, uint64_t iova) {
  iommu_ioas_map arg = {};
  arg.size = sizeof(arg);
  arg.flags = 7;
  arg.ioas_id = ioas;
  arg.user_va = reinterpret_cast<uintptr_t>(page);
  arg.length = 4096;
  arg.iova = iova;
  CHECK(ioctl(iommufd, IOMMU_IOAS_MAP, &arg) == 0);
}

static void unmap(uint64_t iova) {
  iommu_ioas_unmap arg = {};
  arg.size = sizeof(arg);
  arg.ioas_id = ioas;
  arg.iova = iova;
  arg.length = 4096;
  CHECK(ioctl(iommufd, IOMMU_IOAS_UNMAP, &arg) == 0);
}

static void measure(const void* page, int count) {
  double mapping = 0, unmapping = 0;
  for (int i = 0; i < count; ++i) {
    const uint64_t iova = 0x100000 + 4096UL * static_cast<unsigned>(i);
    const double start = now_us();
    map(page, iova);
    const double mapped = now_us();
    unmap(iova);
    mapping += mapped - start;
    unmapping += now_us() - mapped;
  }
  printf("%8.2f%8.2f", mapping / count, unmapping / count);
}

int main(int, char** argv) {
  const int count = atoi(argv[1]);
  iommufd = open("/dev/iommu", O_RDWR);
  if (iommufd < 0) return floor_of(count), 0;
  iommu_ioas_alloc alloc = {};
  alloc.size = sizeof(alloc);
  CHECK(ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc) == 0);
  ioas = alloc.out_ioas_id;
  measure(memory(MAP_PRIVATE | MAP_ANONYMOUS, -1), count);
  const int memfd = memfd_create("shared", 0);
  CHECK(memfd >= 0 && ftruncate(memfd, 8192) == 0);
  char* const shared = static_cast<char*>(memory(MAP_SHARED, memfd));
  map(shared + 4096, 0x10000);
  measure(shared, count);
  puts("");
}
