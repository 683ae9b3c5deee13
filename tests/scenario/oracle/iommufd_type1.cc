// A type 1 container's calls on /dev/iommu, without a device.
#include "probe.h"

namespace {

int iommufd;

long set(std::uint32_t ioas) {
  iommu_vfio_ioas arg = {sizeof(arg), ioas, IOMMU_VFIO_IOAS_SET, 0};
  return probe::call(iommufd, IOMMU_VFIO_IOAS, arg);
}

long extension(long which) { return ioctl(iommufd, VFIO_CHECK_EXTENSION, which); }

long map(std::uint32_t flags, const void* memory, std::uint64_t iova, std::uint64_t size,
         std::uint32_t argsz = sizeof(vfio_iommu_type1_dma_map)) {
  vfio_iommu_type1_dma_map arg = {argsz, flags, probe::address_of(memory), iova, size};
  return probe::call(iommufd, VFIO_IOMMU_MAP_DMA, arg);
}

constexpr std::uint32_t kReadWrite = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

void unmap(const char* what, std::uint32_t flags, std::uint64_t iova, std::uint64_t size,
           std::uint32_t argsz = sizeof(vfio_iommu_type1_dma_unmap)) {
  vfio_iommu_type1_dma_unmap arg = {};
  arg.argsz = argsz;
  arg.flags = flags;
  arg.iova = iova;
  arg.size = size;
  probe::say(probe::call(iommufd, VFIO_IOMMU_UNMAP_DMA, arg), "unmap, %s", what);
  probe::say_value(static_cast<long>(arg.size), "  size is then");
}

long info(std::uint32_t argsz) {
  vfio_iommu_type1_info arg = {};
  arg.argsz = argsz;
  return probe::call(iommufd, VFIO_IOMMU_GET_INFO, arg);
}

void extensions() {
  for (const long which : {0L, 1L, 2L, 3L, 5L, 6L, 7L, 9L, 10L, 11L, -1L, 0x100000001L})
    probe::say_value(extension(which), "CHECK_EXTENSION %ld", which);
}

void without_ioas(std::byte* memory) {
  probe::say_value(ioctl(iommufd, VFIO_GET_API_VERSION), "GET_API_VERSION");
  extensions();
  probe::say_value(extension(VFIO_DMA_CC_IOMMU), "CHECK_EXTENSION coherent");
  for (const long type : {0L, 1L, 2L, 3L, 4L, 7L, 8L, 9L})
    probe::say(ioctl(iommufd, VFIO_SET_IOMMU, type), "SET_IOMMU %ld", type);
  probe::say(info(15), "GET_INFO, argsz 15");
  probe::say(info(24), "GET_INFO");
  probe::say(map(kReadWrite, memory, 0x10000, 4096, 31), "map, argsz 31");
  probe::say(map(4, memory, 0x10000, 4096), "map, unknown flag");
  probe::say(map(kReadWrite, memory, 0x10000, 4096), "map");
  unmap("argsz 23", 0, 0x10000, 4096, 23);
  unmap("dirty bitmap", VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, 0x10000, 4096);
  unmap("by address", VFIO_DMA_UNMAP_FLAG_VADDR, 0x10000, 4096);
  unmap("everything, with a range", VFIO_DMA_UNMAP_FLAG_ALL, 0x10000, 4096);
  unmap("a page", 0, 0x10000, 4096);
  for (const unsigned long request :
       {VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA})
    probe::say(ioctl(iommufd, request, probe::nowhere()), "call %#lx nowhere", request & 0xff);
  for (const unsigned nr : {3U, 4U, 5U, 6U, 7U, 15U, 16U, 17U, 18U})
    probe::say(ioctl(iommufd, _IO(VFIO_TYPE, VFIO_BASE + nr), memory), "VFIO's call %u", nr);
}

void mappings(std::byte* memory) {
  probe::say(map(kReadWrite, memory, 0x10000, 4096, 4096), "map, argsz 4096");
  probe::say(map(kReadWrite, memory, 0x10000, 4096), "map it again");
  probe::say(map(VFIO_DMA_MAP_FLAG_READ, memory, 0x20000, 4096), "map, read");
  probe::say(map(VFIO_DMA_MAP_FLAG_WRITE, memory, 0x30000, 4096), "map, write");
  probe::say(map(0, memory, 0x40000, 4096), "map, no access");
  probe::say(map(VFIO_DMA_MAP_FLAG_VADDR, memory, 0x10000, 4096), "map, new address");
  probe::say(map(kReadWrite, memory, 0x50000, 0), "map, no size");
  probe::say(map(kReadWrite, memory, 0x50001, 10), "map, odd iova and size");
  probe::say(map(kReadWrite, memory, ~0ULL - 4095, 8192), "map, iova wraps");
  probe::say(map(kReadWrite, memory, ~0ULL, 1), "map, the last iova");
  probe::say(map(kReadWrite, memory, 0x60000, ~0ULL), "map, size wraps");
  probe::say(map(kReadWrite, probe::nowhere(), 0x70000, 4096), "map memory that is not there");
  unmap("no size", 0, 0x10000, 0);
  unmap("range wraps", 0, 0x10000, ~0ULL);
  unmap("half a page of a mapping", 0, 0x10000, 2048);
  unmap("nothing there", 0, 0x80000, 4096);
  unmap("a page", 0, 0x10000, 4096, 4096);
  unmap("two mappings and what is between", 0, 0x20000, 0x11000);
  unmap("everything, with an iova", VFIO_DMA_UNMAP_FLAG_ALL, 0x10000, 0);
  unmap("everything, with a size", VFIO_DMA_UNMAP_FLAG_ALL, 0, 4096);
  unmap("everything", VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
  unmap("everything of nothing", VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
}

/// Three mappings of a page, two pages and a page, side by side.
void three(std::byte* memory) {
  map(kReadWrite, memory, 0x10000, 4096);
  map(kReadWrite, memory, 0x11000, 8192);
  map(kReadWrite, memory, 0x13000, 4096);
}

void bad_memory(std::byte* memory) {
  map(kReadWrite, memory, 0x10000, 4096);
  vfio_iommu_type1_dma_unmap arg = {};
  arg.argsz = sizeof(arg);
  arg.iova = 0x10000;
  arg.size = 4096;
  std::byte* read_only = probe::pages(1);
  memcpy(read_only, &arg, sizeof(arg));
  mprotect(read_only, probe::kPage, PROT_READ);
  probe::say(ioctl(iommufd, VFIO_IOMMU_UNMAP_DMA, read_only), "unmap, from read-only memory");
  unmap("the same page", 0, 0x10000, 4096);
  map(kReadWrite, memory, 0x10000, 4096);
  map(kReadWrite, memory, 0x11000, 8192);
  arg.size = 8192;
  mprotect(read_only, probe::kPage, PROT_READ | PROT_WRITE);
  memcpy(read_only, &arg, sizeof(arg));
  mprotect(read_only, probe::kPage, PROT_READ);
  probe::say(ioctl(iommufd, VFIO_IOMMU_UNMAP_DMA, read_only), "unmap a cut, from read-only memory");
  unmap("everything", VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
}

void cuts(std::byte* memory) {
  three(memory);
  unmap("cuts the second of three", 0, 0x10000, 0x2000);
  unmap("begins in a mapping", 0, 0x12000, 0x2000);
  unmap("ends in a mapping", 0, 0xf000, 0x3000);
  unmap("everything", VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
}

}  // namespace

int main() {
  iommufd = probe::open_iommufd();
  std::byte* memory = probe::pages(4);
  without_ioas(memory);
  const std::uint32_t ioas = probe::alloc_ioas(iommufd);
  probe::say(set(ioas), "SET an IOAS");
  probe::say_value(extension(VFIO_DMA_CC_IOMMU), "CHECK_EXTENSION coherent");
  probe::say(ioctl(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU type 1v2");
  mappings(memory);
  bad_memory(memory);
  puts("type 1v2:");
  cuts(memory);

  probe::say(map(kReadWrite, memory, 0x50001, 10), "map, odd iova and size");
  probe::say(ioctl(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU type 1 over that");
  unmap("everything", VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
  probe::say(ioctl(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU type 1");
  probe::say(map(kReadWrite, memory, 0x50001, 10), "map, odd iova and size");
  puts("type 1:");
  cuts(memory);
  three(memory);
  unmap("half a page of a mapping", 0, 0x11000, 2048);
  unmap("half a page across two mappings", 0, 0x10800, 4096);
  unmap("a byte more than a mapping", 0, 0x10000, 4097);
  unmap("no size, in a mapping", 0, 0x12000, 0);
  unmap("the cut piece", 0, 0x11000, 4096);
  unmap("iova 0 to the middle", 0, 0, 0x12000);
  unmap("range wraps", 0, 0x10000, ~0ULL);
  unmap("everything", VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
  probe::say(ioctl(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU type 1v2 after that");
  probe::say(probe::destroy(iommufd, ioas), "DESTROY the IOAS");
  probe::say(map(kReadWrite, memory, 0x10000, 4096), "map after that");
  probe::say(info(24), "GET_INFO after that");
}
