// Mappings of a container of type 1v2: what is refused, and whole mappings only.
#include "group.h"

int main() {
  const int c = probe::contained(VFIO_TYPE1v2_IOMMU).container;
  std::byte* memory = probe::pages(8);
  const std::uint64_t va = probe::address_of(memory);
  constexpr std::uint64_t kLast = ~std::uint64_t{4095};
  vfio_iommu_type1_dma_map small = {31, probe::kReadWrite, va, 0x10000, 4096};
  probe::say(ioctl(c, VFIO_IOMMU_MAP_DMA, nullptr), "map at null");
  probe::say(probe::call(c, VFIO_IOMMU_MAP_DMA, small), "map, argsz 31");
  probe::say(probe::map(c, va, 0x10000, 0), "map, no length");
  probe::say(probe::map(c, va, 0x10000, 4096, 0), "map, no access");
  probe::say(probe::map(c, va, 0x10000, 4096, 8), "map, unknown flag");
  probe::say(probe::map(c, va, 0x10000, 4096, 4), "map, an address for no mapping");
  probe::say(probe::map(c, va, 0x10000, 4096, 5), "map, an address and access");
  probe::say(probe::map(c, va + 1, 0x10000, 4096), "map, misaligned memory");
  probe::say(probe::map(c, va, 0x10001, 4096), "map, misaligned IOVA");
  probe::say(probe::map(c, va, 0x10000, 4095), "map, misaligned length");
  probe::say(probe::map(c, va, kLast, 8192), "map, beyond the last IOVA");
  probe::say(probe::map(c, kLast, 0x10000, 8192), "map, beyond the last address");
  probe::say(probe::map(c, va, 0xfee00000, 4096), "map, where interrupts go");
  probe::say(probe::map(c, va, kLast, 4096), "map, where the IOMMU does not reach");
  probe::say(probe::map(c, probe::address_of(probe::nowhere()), 0x10000, 4096),
             "map, memory that is not there");
  probe::say(probe::map(c, va, 0x10000, 4096), "map one page");
  probe::say(probe::map(c, va + 4096, 0x11000, 8192, VFIO_DMA_MAP_FLAG_READ), "map two pages");
  probe::say(probe::map(c, va + 12288, 0x13000, 4096, VFIO_DMA_MAP_FLAG_WRITE), "map one page");
  probe::say(probe::map(c, va, 0x12000, 4096), "map what is mapped");
  probe::say(probe::map(c, va, 0xf000, 32768), "map over all of them");
  mprotect(memory + 16384, 4096, PROT_READ);
  probe::say(probe::map(c, va + 16384, 0x20000, 4096), "map read-only memory for writing");
  probe::say(probe::map(c, va + 16384, 0x20000, 4096, VFIO_DMA_MAP_FLAG_READ),
             "map read-only memory for reading");

  vfio_iommu_type1_dma_unmap tiny = {};
  tiny.argsz = 23;
  probe::say(probe::call(c, VFIO_IOMMU_UNMAP_DMA, tiny), "unmap, argsz 23");
  probe::say_unmap(c, "no length", 0x10000, 0);
  probe::say_unmap(c, "unknown flag", 0x10000, 4096, 8);
  probe::say_unmap(c, "misaligned IOVA", 0x10001, 4096);
  probe::say_unmap(c, "misaligned length", 0x10000, 4095);
  probe::say_unmap(c, "beyond the last IOVA", kLast, 8192);
  probe::say_unmap(c, "the end of a mapping is left", 0x10000, 8192);
  probe::say_unmap(c, "the start of a mapping is left", 0x12000, 8192);
  probe::say_unmap(c, "nothing is mapped there", 0x100000, 4096);
  probe::say_unmap(c, "everything, with an IOVA", 0x10000, 0, VFIO_DMA_UNMAP_FLAG_ALL);
  probe::say_unmap(c, "everything, with a length", 0, 4096, VFIO_DMA_UNMAP_FLAG_ALL);
  probe::say_unmap(c, "everything, and a bitmap", 0, 0,
                   VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP);
  probe::say_unmap(c, "one mapping", 0x11000, 8192);
  probe::say_unmap(c, "two, with a hole between", 0xf000, 32768);
  probe::say_unmap(c, "everything", 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
  probe::say_unmap(c, "everything, of nothing", 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
}
