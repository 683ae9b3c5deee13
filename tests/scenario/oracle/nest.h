#pragma once

// A device that can be under a vIOMMU. On teeio: the VFIO device, with the vIOMMU
// of a machine that has a TSM. Mainline has no such thing, so there the answers
// are those of the mock device of CONFIG_IOMMUFD_TEST, whose objects go through
// the same code of iommufd.
#include "probe.h"

namespace probe {

// Numbers of the mock (Linux drivers/iommu/iommufd/iommufd_test.h).
inline constexpr std::uint32_t kMockDomain = 2;
inline constexpr std::uint32_t kMockViommuType = 0xdeadbeef;
inline constexpr std::uint32_t kTsmViommuType = 3;

struct MockCommand {
  std::uint32_t size;
  std::uint32_t op;
  std::uint32_t id;
  std::uint32_t reserved;
  std::uint32_t out_stdev_id;
  std::uint32_t out_hwpt_id;
  std::uint32_t out_idev_id;
  std::uint32_t rest[11];
};

struct NestDevice {
  int iommufd;
  std::uint32_t ioas;
  std::uint32_t devid;
  std::uint32_t viommu_type;
  int device;           // of VFIO, or -1
  std::uint32_t stdev;  // of the mock
};

inline bool add_mock(NestDevice& nest) {
  MockCommand mock = {};
  mock.size = sizeof(mock);
  mock.op = kMockDomain;
  mock.id = nest.ioas;
  if (ioctl(nest.iommufd, _IO(IOMMUFD_TYPE, 0xa0), &mock) != 0) return false;
  nest.devid = mock.out_idev_id;
  nest.stdev = mock.out_stdev_id;
  nest.viommu_type = kMockViommuType;
  nest.device = -1;
  return true;
}

inline void add_device(NestDevice& nest, const char* path) {
  nest.device = open(path, O_RDWR | O_CLOEXEC);
  if (nest.device < 0) give_up(path);
  nest.viommu_type = kTsmViommuType;
  if (bind(nest.device, nest.iommufd, &nest.devid) != 0) give_up("VFIO_DEVICE_BIND_IOMMUFD");
  if (attach(nest.device, nest.ioas) != 0) give_up("VFIO_DEVICE_ATTACH_IOMMUFD_PT");
}

inline NestDevice open_nest() {
  NestDevice nest = {};
  nest.iommufd = open_iommufd();
  nest.ioas = alloc_ioas(nest.iommufd);
  if (!add_mock(nest)) add_device(nest, device_path());
  return nest;
}

/// Another device in the same context, attached to the same IOAS.
inline NestDevice open_second(const NestDevice& first) {
  NestDevice nest = first;
  const char* path = getenv("ORACLE_VFIO2");
  if (!add_mock(nest)) add_device(nest, path != nullptr ? path : "/dev/vfio/devices/vfio1");
  return nest;
}

/// Takes the device away, as close() of the last VFIO fd does.
inline void close_nest_device(const NestDevice& nest) {
  const int result =
      nest.device >= 0 ? close(nest.device) : static_cast<int>(destroy(nest.iommufd, nest.stdev));
  if (result != 0) give_up("taking the device away");
}

inline std::uint32_t alloc_hwpt(const NestDevice& nest, std::uint32_t pt_id, std::uint32_t flags) {
  iommu_hwpt_alloc arg = {};
  arg.size = sizeof(arg);
  arg.flags = flags;
  arg.dev_id = nest.devid;
  arg.pt_id = pt_id;
  if (call(nest.iommufd, IOMMU_HWPT_ALLOC, arg) != 0) give_up("IOMMU_HWPT_ALLOC");
  return arg.out_hwpt_id;
}

inline std::uint32_t alloc_viommu(const NestDevice& nest, std::uint32_t parent) {
  iommu_viommu_alloc arg = {};
  arg.size = sizeof(arg);
  arg.type = nest.viommu_type;
  arg.dev_id = nest.devid;
  arg.hwpt_id = parent;
  if (call(nest.iommufd, IOMMU_VIOMMU_ALLOC, arg) != 0) give_up("IOMMU_VIOMMU_ALLOC");
  return arg.out_viommu_id;
}

}  // namespace probe
