#pragma once

// VFIO by groups: what those oracle programs share.
#include <sys/stat.h>

#include "probe.h"

namespace probe {

/// "/dev/vfio/N" of the device's IOMMU group.
inline const char* group_path() {
  static char path[64];
  char link[160];
  char target[512];
  snprintf(link, sizeof(link), "%s/iommu_group", sysfs_dir());
  const ssize_t length = readlink(link, target, sizeof(target) - 1);
  if (length < 0) give_up(link);
  target[length] = '\0';
  snprintf(path, sizeof(path), "/dev/vfio/%.16s", strrchr(target, '/') + 1);
  return path;
}

/// The device's address, as its group knows it.
inline const char* device_name() { return strrchr(sysfs_dir(), '/') + 1; }

inline int open_group() {
  const int fd = open(group_path(), O_RDWR | O_CLOEXEC);
  if (fd < 0) give_up(group_path());
  return fd;
}

inline int open_container() {
  const int fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
  if (fd < 0) give_up("/dev/vfio/vfio");
  return fd;
}

inline long set_container(int group, int container) {
  return ioctl(group, VFIO_GROUP_SET_CONTAINER, &container);
}

inline long device_fd(int group, const char* name) {
  return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
}

inline void say_status(int group, const char* when) {
  vfio_group_status arg = {sizeof(arg), 0};
  const long result = call(group, VFIO_GROUP_GET_STATUS, arg);
  if (result == 0) {
    printf("status, %s -> %u\n", when, arg.flags);
  } else {
    say(result, "status, %s", when);
  }
}

/// A group in a container of `type`.
struct Contained {
  int container;
  int group;
};

inline Contained contained(unsigned long type) {
  const Contained both = {open_container(), open_group()};
  if (set_container(both.group, both.container) != 0) give_up("VFIO_GROUP_SET_CONTAINER");
  if (ioctl(both.container, VFIO_SET_IOMMU, type) != 0) give_up("VFIO_SET_IOMMU");
  return both;
}

constexpr std::uint32_t kReadWrite = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

inline long map(int container, std::uint64_t va, std::uint64_t iova, std::uint64_t size,
                std::uint32_t flags = kReadWrite) {
  vfio_iommu_type1_dma_map arg = {sizeof(arg), flags, va, iova, size};
  return call(container, VFIO_IOMMU_MAP_DMA, arg);
}

/// Prints the errno, or the bytes.
inline void say_unmap(int container, const char* what, std::uint64_t iova, std::uint64_t size,
                      std::uint32_t flags = 0) {
  vfio_iommu_type1_dma_unmap arg = {};
  arg.argsz = sizeof(arg);
  arg.flags = flags;
  arg.iova = iova;
  arg.size = size;
  const long result = call(container, VFIO_IOMMU_UNMAP_DMA, arg);
  say_value(result == 0 ? static_cast<long>(arg.size) : result, "unmap, %s", what);
}

}  // namespace probe
