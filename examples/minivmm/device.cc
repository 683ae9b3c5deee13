#include "device.h"

#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/teeio_proposed.h>
#include <linux/vfio.h>

#include <cstdio>
#include <cstring>
#include <memory>

Device::Device(const Function& function, Abi abi)
    : function_(function),
      abi_(abi),
      iommufd_(open_file("/dev/iommu", O_RDWR)),
      vfio_(open_file(function.vfio_path, O_RDWR)) {}

void Device::bind_iommufd() {
  vfio_device_bind_iommufd bind{};
  bind.argsz = sizeof bind;
  bind.iommufd = iommufd_.get();
  CALL(vfio_, VFIO_DEVICE_BIND_IOMMUFD, &bind);
  device_id_ = bind.out_devid;
  for (unsigned i = 0; i < bars_.size(); ++i) bars_[i] = region(VFIO_PCI_BAR0_REGION_INDEX + i);
  config_ = region(VFIO_PCI_CONFIG_REGION_INDEX);
}

Region Device::region(unsigned index) const {
  vfio_region_info info{};
  info.argsz = sizeof info;
  info.index = index;
  CALL(vfio_, VFIO_DEVICE_GET_REGION_INFO, &info);
  return {info.size, info.offset};
}

void Device::attach_shared_dma(std::span<std::byte> memory, std::uint64_t iova) {
  iommu_ioas_alloc ioas{};
  ioas.size = sizeof ioas;
  CALL(iommufd_, IOMMU_IOAS_ALLOC, &ioas);
  ioas_id_ = ioas.out_ioas_id;

  iommu_hwpt_alloc hwpt{};
  hwpt.size = sizeof hwpt;
  hwpt.flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
  hwpt.dev_id = device_id_;
  hwpt.pt_id = ioas_id_;
  CALL(iommufd_, IOMMU_HWPT_ALLOC, &hwpt);
  hwpt_id_ = hwpt.out_hwpt_id;

  vfio_device_attach_iommufd_pt attach{};
  attach.argsz = sizeof attach;
  attach.pt_id = hwpt_id_;
  CALL(vfio_, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);

  iommu_ioas_map map{};
  map.size = sizeof map;
  map.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
  map.ioas_id = ioas_id_;
  map.user_va = pointer(memory.data());
  map.length = memory.size();
  map.iova = iova;
  CALL(iommufd_, IOMMU_IOAS_MAP, &map);
}

void Device::map_private_dma(const Fd& file, std::uint64_t size) {
  iommu_ioas_map_file map{};
  map.size = sizeof map;
  map.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
  map.ioas_id = ioas_id_;
  map.fd = file.get();
  map.length = size;
  map.iova = 0;
  CALL(iommufd_, IOMMU_IOAS_MAP_FILE, &map);
}

void Device::allocate_viommu() {
  iommu_viommu_alloc viommu{};
  viommu.size = sizeof viommu;
  viommu.type = IOMMU_VIOMMU_TYPE_TSM;
  viommu.dev_id = device_id_;
  viommu.hwpt_id = hwpt_id_;
  if (ioctl_again(iommufd_, IOMMU_VIOMMU_ALLOC, &viommu) < 0) {
    const int error = errno;
    if (error == EOPNOTSUPP)
      std::fputs(
          "minivmm: this host has no vIOMMU of the type that minivmm asks for: set "
          "abi = \"teeio\" in the machine file\n",
          stderr);
    fail("IOMMU_VIOMMU_ALLOC", error);
  }
  viommu_id_ = viommu.out_viommu_id;
}

int Device::allocate_vdevice() {
  iommu_vdevice_alloc vdevice{};
  vdevice.size = sizeof vdevice;
  vdevice.viommu_id = viommu_id_;
  vdevice.dev_id = device_id_;
  vdevice.virt_id = function_.requester_id();
  if (ioctl_again(iommufd_, IOMMU_VDEVICE_ALLOC, &vdevice) < 0) return errno;
  vdevice_id_ = vdevice.out_vdevice_id;
  return 0;
}

int Device::destroy_vdevice() {
  iommu_destroy destroy{};
  destroy.size = sizeof destroy;
  destroy.id = vdevice_id_;
  if (ioctl_again(iommufd_, IOMMU_DESTROY, &destroy) < 0) return errno;
  vdevice_id_ = 0;
  return 0;
}

Fd Device::export_bar(unsigned index) const {
  // vfio_device_feature, then vfio_device_feature_dma_buf with one range.
  constexpr std::size_t kSize = sizeof(vfio_device_feature) + sizeof(vfio_device_feature_dma_buf) +
                                sizeof(vfio_region_dma_range);
  alignas(vfio_device_feature) unsigned char buffer[kSize] = {};
  auto* const feature = reinterpret_cast<vfio_device_feature*>(buffer);
  feature->argsz = kSize;
  feature->flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
  vfio_device_feature_dma_buf dma_buf{};
  dma_buf.region_index = VFIO_PCI_BAR0_REGION_INDEX + index;
  dma_buf.open_flags = O_RDWR | O_CLOEXEC;
  dma_buf.nr_ranges = 1;
  const vfio_region_dma_range range{0, bars_.at(index).size};
  std::memcpy(feature->data, &dma_buf, sizeof dma_buf);
  std::memcpy(feature->data + sizeof dma_buf, &range, sizeof range);
  return Fd(CALL(vfio_, VFIO_DEVICE_FEATURE, feature));
}

std::uint64_t Device::read(const Region& region, std::uint64_t offset, unsigned size) const {
  std::uint64_t value = 0;
  const off_t at = static_cast<off_t>(region.offset + offset);
  // As on the bus: what does not answer reads as ones.
  if (::pread(vfio_.get(), &value, size, at) != static_cast<ssize_t>(size)) value = ~0ULL;
  return value;
}

void Device::write(const Region& region, std::uint64_t offset, unsigned size,
                   std::uint64_t value) const {
  const off_t at = static_cast<off_t>(region.offset + offset);
  if (::pwrite(vfio_.get(), &value, size, at) != static_cast<ssize_t>(size))
    std::fprintf(stderr, "minivmm: a guest's write of %u bytes was refused\n", size);
}
