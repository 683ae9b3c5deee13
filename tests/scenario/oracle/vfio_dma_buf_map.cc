// A BAR's dma-buf as a file, and mapped into an I/O address space.
#include "dma_buf.h"

int main() {
  const probe::BoundDevice bound = probe::open_bound();
  const std::uint32_t index = probe::mappable_bar(bound.device).index;
  probe::set_command(bound.device, 6);
  const int one = probe::export_bar(bound.device, index, 1);
  const int two = probe::export_bar(bound.device, index, 2);
  probe::say_value(lseek(one, 0, SEEK_END), "size of one range");
  probe::say_value(lseek(two, 0, SEEK_END), "size of two ranges");
  probe::say_value(lseek(one, 0, SEEK_SET), "seek to the start");
  probe::say_value(lseek(one, 1, SEEK_SET), "seek to 1");
  char byte = 0;
  probe::say(read(one, &byte, 1), "read");
  const void* memory = mmap(nullptr, probe::kPage, PROT_READ, MAP_SHARED, one, 0);
  probe::say(memory == MAP_FAILED ? -1 : 0, "mmap");

  const int iommufd = bound.iommufd;
  const std::uint32_t ioas = probe::alloc_ioas(iommufd);
  probe::map_dma_buf(iommufd, ioas, one, 0, probe::kPage, "map it, no device attached");
  probe::say(probe::attach(bound.device, ioas), "attach a device");
  const iommu_ioas_map_file area =
      probe::map_dma_buf(iommufd, ioas, one, 0, probe::kPage, "map it");
  probe::map_dma_buf(iommufd, ioas, one, 0, 2 * probe::kPage, "map more than it has");
  probe::map_dma_buf(iommufd, ioas, one, probe::kPage, probe::kPage, "map behind its end");
  probe::map_dma_buf(iommufd, ioas, one, 1, 100, "map an odd part");
  probe::map_dma_buf(iommufd, ioas, two, 0, 2 * probe::kPage, "map a dma-buf of two ranges");
  close(one);
  iommu_ioas_unmap unmap = {sizeof(unmap), ioas, area.iova, probe::kPage};
  probe::say(probe::call(iommufd, IOMMU_IOAS_UNMAP, unmap), "unmap it, its fd closed");
}
