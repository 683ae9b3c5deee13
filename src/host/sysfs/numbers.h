#pragma once

#include <cstdint>

namespace teeio::sysfs {

// Numbers of device nodes. Source: Linux include/linux/miscdevice.h.
inline constexpr std::uint32_t kMiscMajor = 10, kVfioMinor = 196, kKvmMinor = 232;
/// The first of the dynamic minors, which is what /dev/iommu gets.
inline constexpr std::uint32_t kIommuMinor = 256;
/// Linux 7.3's choice of a major for vfio-dev when nothing else took it.
inline constexpr std::uint32_t kVfioMajor = 251;
/// And for groups, which ask first (vfio_group_init()).
inline constexpr std::uint32_t kVfioGroupMajor = 252;

}  // namespace teeio::sysfs
