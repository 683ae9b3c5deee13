// Mappings of a container of type 1: a range takes those whose start it has.
#include "group.h"

int main() {
  const int c = probe::contained(VFIO_TYPE1_IOMMU).container;
  const std::uint64_t va = probe::address_of(probe::pages(8));
  const auto map_three = [&] {
    probe::map(c, va, 0x10000, 4096);
    probe::map(c, va + 4096, 0x11000, 8192);
    probe::map(c, va + 12288, 0x13000, 4096);
  };
  map_three();
  probe::say_unmap(c, "from the middle of a mapping on", 0x12000, 8192);
  probe::say_unmap(c, "to the middle of a mapping", 0x10000, 8192);
  probe::say_unmap(c, "what is left", 0, 0x100000);
  map_three();
  probe::say_unmap(c, "only the middle", 0x12000, 4096);
  probe::say_unmap(c, "all and more", 0xf000, 0x100000);
  map_three();
  probe::say_unmap(c, "everything", 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
  probe::say(ioctl(c, VFIO_IOMMU_DIRTY_PAGES, nullptr), "DIRTY_PAGES");
  map_three();
  probe::say_unmap(c, "an address, from the middle on", 0x12000, 8192, VFIO_DMA_UNMAP_FLAG_VADDR);
  probe::say_unmap(c, "addresses", 0x10000, 16384, VFIO_DMA_UNMAP_FLAG_VADDR);
}
