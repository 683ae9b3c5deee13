// Dirty pages of a container of type 1v2: the calls' checks, and every mapped page is dirty.
#include "group.h"

namespace {

int container;
std::uint64_t bitmap[8];

struct Dirty {
  std::uint32_t argsz, flags;
  std::uint64_t iova, size;
  std::uint64_t page_size, bytes;
  std::uint64_t* data;
};

long dirty(std::uint32_t flags, std::uint32_t argsz = 8) {
  vfio_iommu_type1_dirty_bitmap arg = {};
  arg.argsz = argsz;
  arg.flags = flags;
  return probe::call(container, VFIO_IOMMU_DIRTY_PAGES, arg);
}

void get(const char* what, std::uint64_t iova, std::uint64_t size, std::uint64_t page_size = 4096,
         std::uint64_t bytes = sizeof(bitmap), std::uint64_t* data = bitmap,
         std::uint32_t argsz = sizeof(Dirty)) {
  for (std::uint64_t& word : bitmap) word = 0xa5a5a5a5a5a5a5a5;
  Dirty arg = {argsz, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP, iova, size, page_size, bytes, data};
  const long result = probe::call(container, VFIO_IOMMU_DIRTY_PAGES, arg);
  probe::say(result, "bitmap, %s", what);
  if (result == 0) printf("  %016lx %016lx %016lx\n", bitmap[0], bitmap[1], bitmap[2]);
}

void unmap(const char* what, std::uint64_t iova, std::uint64_t size, std::uint64_t page_size = 4096,
           std::uint64_t bytes = sizeof(bitmap), std::uint32_t argsz = 48) {
  for (std::uint64_t& word : bitmap) word = 0xa5a5a5a5a5a5a5a5;
  Dirty arg = {argsz, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, iova, size, page_size, bytes, bitmap};
  const long result = probe::call(container, VFIO_IOMMU_UNMAP_DMA, arg);
  probe::say_value(result == 0 ? static_cast<long>(arg.size) : result, "unmap, %s", what);
  if (result == 0) printf("  %016lx %016lx %016lx\n", bitmap[0], bitmap[1], bitmap[2]);
}

}  // namespace

int main() {
  container = probe::contained(VFIO_TYPE1v2_IOMMU).container;
  const std::uint64_t va = probe::address_of(probe::pages(128));
  probe::map(container, va, 0x100000, 3 * 4096UL);
  probe::map(container, va, 0x103000, 70 * 4096UL);
  probe::say(ioctl(container, VFIO_IOMMU_DIRTY_PAGES, nullptr), "at null");
  probe::say(dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START, 7), "argsz 7");
  probe::say(dirty(8), "unknown flag");
  probe::say(dirty(3), "two flags");
  get("not started", 0x100000, 73 * 4096UL);
  unmap("not started", 0x100000, 3 * 4096UL);
  probe::say(dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), "stop what was not started");
  probe::say(dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START), "start");
  probe::say(dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START), "start again");
  get("argsz of the flags", 0x100000, 73 * 4096UL, 4096, 64, bitmap, 8);
  get("argsz 47", 0x100000, 73 * 4096UL, 4096, 64, bitmap, 47);
  get("no length", 0x100000, 0);
  get("beyond the last IOVA", ~std::uint64_t{4095}, 8192);
  get("no bytes", 0x100000, 73 * 4096UL, 4096, 0);
  get("too few bytes", 0x100000, 73 * 4096UL, 4096, 8);
  get("too many bytes", 0x100000, 73 * 4096UL, 4096, (1UL << 28) + 8);
  get("at a kernel's address", 0x100000, 73 * 4096UL, 4096, 64,
      reinterpret_cast<std::uint64_t*>(0xffff888000000000));
  get("at no memory", 0x100000, 73 * 4096UL, 4096, 64,
      static_cast<std::uint64_t*>(probe::nowhere()));
  get("pages of 8 KiB", 0x100000, 72 * 4096UL, 8192);
  get("misaligned IOVA", 0x100001, 73 * 4096UL);
  get("misaligned length", 0x100000, 73 * 4096UL + 1);
  get("cutting a mapping", 0x100000, 5 * 4096UL);
  get("cutting a mapping's start", 0x101000, 72 * 4096UL);
  get("both", 0x100000, 73 * 4096UL);
  get("both, and a page before", 0xff000, 74 * 4096UL);
  get("both, and pages around", 0xf0000, 100 * 4096UL);
  get("the second", 0x103000, 70 * 4096UL);
  get("nothing", 0x200000, 4096);
  unmap("argsz 47", 0x100000, 3 * 4096UL, 4096, 64, 47);
  unmap("pages of 8 KiB", 0x100000, 2 * 4096UL, 8192);
  unmap("cutting a mapping", 0x100000, 2 * 4096UL);
  unmap("the first", 0x100000, 3 * 4096UL);
  probe::say(dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), "stop");
  get("stopped", 0x103000, 70 * 4096UL);
}
