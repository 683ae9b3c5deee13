#pragma once

// Exporting ranges of a BAR as a dma-buf.
#include "probe.h"

namespace probe {

/// vfio_device_feature, vfio_device_feature_dma_buf and two ranges in one piece.
struct DmaBufRequest {
  std::uint32_t argsz;
  std::uint32_t feature;
  std::uint32_t region_index;
  std::uint32_t open_flags;
  std::uint32_t flags;
  std::uint32_t nr_ranges;
  vfio_region_dma_range ranges[2];
};

/// A request for the first page of a BAR; the second range is not counted.
inline DmaBufRequest dma_buf_request(std::uint32_t index) {
  DmaBufRequest request = {};
  request.argsz = sizeof(request) - sizeof(vfio_region_dma_range);
  request.feature = VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_GET;
  request.region_index = index;
  request.open_flags = O_RDWR | O_CLOEXEC;
  request.nr_ranges = 1;
  request.ranges[0].length = kPage;
  return request;
}

/// The first `nr_ranges` (1 or 2) pages of a BAR, one range each.
inline int export_bar(int device, std::uint32_t index, std::uint32_t nr_ranges) {
  DmaBufRequest request = dma_buf_request(index);
  request.argsz = sizeof(request);
  request.nr_ranges = nr_ranges;
  request.ranges[1] = {kPage, kPage};
  const int fd = ioctl(device, VFIO_DEVICE_FEATURE, &request);
  if (fd < 0) give_up("VFIO_DEVICE_FEATURE_DMA_BUF");
  return fd;
}

inline void set_command(int device, std::uint16_t value) {
  const off_t at = (off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40) + 4;
  if (pwrite(device, &value, 2, at) != 2) give_up("COMMAND");
}

inline iommu_ioas_map_file map_dma_buf(int iommufd, std::uint32_t ioas, int fd, std::uint64_t start,
                                       std::uint64_t length, const char* what) {
  iommu_ioas_map_file arg = {};
  arg.size = sizeof(arg);
  arg.flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
  arg.ioas_id = ioas;
  arg.fd = fd;
  arg.start = start;
  arg.length = length;
  say(call(iommufd, IOMMU_IOAS_MAP_FILE, arg), "%s", what);
  return arg;
}

}  // namespace probe
