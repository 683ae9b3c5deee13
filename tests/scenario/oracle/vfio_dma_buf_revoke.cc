// A mapped dma-buf of a BAR whose device is disabled, reset and closed.
#include "dma_buf.h"

int main() {
  const probe::BoundDevice bound = probe::open_bound();
  const int iommufd = bound.iommufd;
  probe::set_command(bound.device, 6);
  const std::uint32_t index = probe::mappable_bar(bound.device).index;
  const int fd = probe::export_bar(bound.device, index, 1);
  const std::uint32_t ioas = probe::alloc_ioas(iommufd);
  if (probe::attach(bound.device, ioas) != 0) probe::give_up("attach");

  probe::map_dma_buf(iommufd, ioas, fd, 0, probe::kPage, "map");
  probe::set_command(bound.device, 0);
  probe::map_dma_buf(iommufd, ioas, fd, 0, probe::kPage, "map while memory is disabled");
  probe::set_command(bound.device, 6);
  probe::map_dma_buf(iommufd, ioas, fd, 0, probe::kPage, "map after it is enabled again");
  probe::say(ioctl(bound.device, VFIO_DEVICE_RESET), "RESET, mapped twice");
  probe::map_dma_buf(iommufd, ioas, fd, 0, probe::kPage, "map after the reset");
  iommu_ioas_unmap all = {sizeof(all), ioas, 0, ~0ULL};
  probe::say(probe::call(iommufd, IOMMU_IOAS_UNMAP, all), "unmap all");
  probe::say_value(static_cast<long>(all.length), "bytes unmapped");
  probe::map_dma_buf(iommufd, ioas, fd, 0, probe::kPage, "map once more");
  close(bound.device);
  probe::map_dma_buf(iommufd, ioas, fd, 0, probe::kPage, "map after the device was closed");
  all.length = ~0ULL;
  probe::say(probe::call(iommufd, IOMMU_IOAS_UNMAP, all), "unmap all");
  probe::say_value(static_cast<long>(all.length), "bytes unmapped");
}
