#pragma once

#include <string_view>

#include "unit/machine/make_machine.h"

namespace teeio::vfio::test {

// The default machine's groups: 0 and 1 are the root ports'.
inline constexpr std::string_view kPfGroup = "/dev/vfio/2";
inline constexpr std::string_view kVfGroup = "/dev/vfio/3";
inline constexpr std::string_view kPlainGroup = "/dev/vfio/5";
inline constexpr std::string_view kVfName = "0000:01:00.1";

/// A program that uses VFIO by container and group, step by step.
struct GroupVmm : machine::test::Vmm {
  using Vmm::Vmm;
  int container = -1, group = -1;

  Result<int> get_device(int of, std::string_view name) {
    std::string text(name);
    TEEIO_ASSIGN(const std::int64_t fd,
                 ioctl(of, VFIO_GROUP_GET_DEVICE_FD,
                       store(std::as_bytes(std::span(text.c_str(), text.size() + 1)))));
    TEEIO_TRY(make_mappable(static_cast<int>(fd)));
    return static_cast<int>(fd);
  }
  Result<std::int64_t> set_container(int of, int to) {
    return ioctl(of, VFIO_GROUP_SET_CONTAINER, store(bytes_of(to)));
  }
  /// Up to a container with an IOMMU.
  Result<void> open_group(std::string_view path = kVfGroup,
                          std::uint64_t type = VFIO_TYPE1v2_IOMMU) {
    TEEIO_ASSIGN(container, open("/dev/vfio/vfio"));
    TEEIO_ASSIGN(group, open(path));
    TEEIO_TRY(set_container(group, container));
    TEEIO_TRY(ioctl(container, VFIO_SET_IOMMU, type));
    return {};
  }
  Result<void> open_in_group(std::string_view name = kVfName) {
    TEEIO_TRY(open_group());
    TEEIO_ASSIGN(vfio, get_device(group, name));
    return {};
  }
  std::uint32_t status(int of) {
    abi::vfio_group_status arg{.argsz = sizeof(arg), .flags = 0xff};
    EXPECT_TRUE(ioctl(of, VFIO_GROUP_GET_STATUS, arg).has_value());
    return arg.flags;
  }
  Result<std::int64_t> map(std::uint64_t va, std::uint64_t iova, std::uint64_t size,
                           std::uint32_t flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE) {
    abi::vfio_iommu_type1_dma_map arg{
        .argsz = sizeof(arg), .flags = flags, .vaddr = va, .iova = iova, .size = size};
    return ioctl(container, VFIO_IOMMU_MAP_DMA, arg);
  }
  /// Gives the bytes that were unmapped.
  Result<std::uint64_t> unmap(std::uint64_t iova, std::uint64_t size, std::uint32_t flags = 0) {
    struct {
      std::uint32_t argsz, flags;
      std::uint64_t iova, size;
    } arg{sizeof(arg), flags, iova, size};
    TEEIO_TRY(ioctl(container, VFIO_IOMMU_UNMAP_DMA, arg));
    return arg.size;
  }
  template <class T>
  Result<void> write(std::uint64_t at, T value) {
    TEEIO_TRY(pwrite(vfio, at, bytes_of(value)));
    return {};
  }
  template <class T>
  T read(std::uint64_t at) {
    T value{};
    EXPECT_TRUE(pread(vfio, at, writable_bytes_of(value)).has_value());
    return value;
  }
  /// Fills the 8 bytes at `iova` by the card's engine, whose ring is a page at IOVA `ring`,
  /// `ring_va` in memory. Gives the ERROR register: 0 done.
  std::uint32_t fill_by_dma(std::uint64_t ring_va, std::uint64_t ring, std::uint64_t iova) {
    constexpr std::uint64_t kConfigCommand = (std::uint64_t{kConfigRegion} << kRegionShift) + 4;
    EXPECT_TRUE(write<std::uint16_t>(kConfigCommand, 6).has_value());
    struct {
      std::uint32_t flags = 2, length = 8;
      std::uint64_t source = 0x1122334455667788, destination = 0;
      std::uint32_t status = 0, zero = 0;
    } descriptor;
    descriptor.destination = iova;
    EXPECT_TRUE(memory().write(ring_va, bytes_of(descriptor)).has_value());
    (void)write<std::uint32_t>(0x08, 2);
    (void)write<std::uint32_t>(0x10, static_cast<std::uint32_t>(ring));
    (void)write<std::uint32_t>(0x14, static_cast<std::uint32_t>(ring >> 32U));
    (void)write<std::uint32_t>(0x18, 2);
    (void)write<std::uint32_t>(0x08, 1);
    (void)write<std::uint32_t>(0x24, 1);
    return read<std::uint32_t>(0x28);
  }
};

}  // namespace teeio::vfio::test
