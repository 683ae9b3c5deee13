// VFIO_UPDATE_VADDR: addresses are taken back and given anew.
#include "group.h"

int main() {
  const int c = probe::contained(VFIO_TYPE1v2_IOMMU).container;
  const std::uint64_t va = probe::address_of(probe::pages(8));
  constexpr std::uint32_t kTake = VFIO_DMA_UNMAP_FLAG_VADDR, kGive = VFIO_DMA_MAP_FLAG_VADDR;
  probe::map(c, va, 0x10000, 4096);
  probe::map(c, va + 4096, 0x11000, 8192);
  probe::say(probe::map(c, va, 0x10000, 4096, kGive), "an address that was not taken back");
  probe::say_unmap(c, "the address of one", 0x10000, 4096, kTake);
  probe::say_unmap(c, "the address of one again", 0x10000, 4096, kTake);
  probe::say_unmap(c, "the addresses of both", 0x10000, 12288, kTake);
  probe::say_unmap(c, "an address, cutting a mapping", 0x12000, 4096, kTake);
  probe::say_unmap(c, "an address where nothing is", 0x100000, 4096, kTake);
  probe::say(probe::map(c, va, 0x10000, 8192, kGive), "an address for another length");
  probe::say(probe::map(c, va, 0x11000, 8192, kGive), "an address for the other mapping");
  probe::say(probe::map(c, va, 0x20000, 4096), "map meanwhile");
  probe::say(probe::map(c, va, 0x10000, 4096, kGive), "an address for this one");
  probe::say(probe::map(c, va, 0x10000, 4096, kGive), "an address again");
  probe::say_unmap(c, "all addresses", 0, 0, kTake | VFIO_DMA_UNMAP_FLAG_ALL);
  probe::say_unmap(c, "all mappings", 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
}
