#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/check.h"
#include "explore/scenario/stage.h"
#include "host/vfio/device.h"

namespace teeio::explore {

inline constexpr std::uint64_t kOldPattern = 0x1111'1111'1111'1111;
inline constexpr std::uint64_t kNewPattern = 0x2222'2222'2222'2222;
inline constexpr std::uint64_t kLastPattern = 0x3333'3333'3333'3333;

/// RingPages of the program's memory as its device reaches them: page 0 has the ring, which fills
/// kTarget with the pattern of each descriptor.
class RingPages {
 public:
  static constexpr std::uint64_t kBase = 0x10'0000;  ///< IOVA of page 0
  static constexpr std::uint64_t kCount = 16;
  static constexpr std::uint64_t kTarget = 1;
  static constexpr std::uint64_t kOther = 2;
  static constexpr std::uint64_t kFirstStage = 4;   ///< four pages of tables
  static constexpr std::uint64_t kSecondFirst = 8;  ///< four more
  static constexpr std::uint64_t kBitmap = 15;
  static constexpr std::uint64_t iova(std::uint64_t page) { return kBase + page * kPageSize; }

  explicit RingPages(Vmm& vmm) : vmm_(vmm), address_(vmm.memory().map(kCount * kPageSize)) {}
  [[nodiscard]] std::uint64_t address(std::uint64_t page) const {
    return address_ + page * kPageSize;
  }
  [[nodiscard]] std::uint64_t get(std::uint64_t page) const {
    std::uint64_t value = 0;
    must(vmm_.memory().read(address(page), writable_bytes_of(value)));
    return value;
  }
  void set(std::uint64_t page, std::uint64_t index, std::uint64_t value) {
    must(vmm_.memory().write(address(page) + 8 * index, bytes_of(value)));
  }
  /// A first stage of four tables at `table`, in which every address is the parent's, but for
  /// kTarget, which is `target`.
  void make_first_stage(std::uint64_t table, std::uint64_t target) {
    for (std::uint64_t level = 0; level < 3; ++level)
      set(table + level, level == 2 ? kBase >> 21U : 0, iova(table + level + 1) | 7U);
    for (std::uint64_t page = 0; page < kCount; ++page) lead(table, page, page);
    lead(table, kTarget, target);
  }
  void lead(std::uint64_t table, std::uint64_t page, std::uint64_t to) {
    set(table + 3, (iova(page) >> 12U) & 0x1ffU, iova(to) | 7U);
  }

 private:
  Vmm& vmm_;
  const std::uint64_t address_;
};

/// A function, an iommufd with those pages, and the engine's ring.
class RingDevice {
 public:
  RingDevice(Stage& stage, std::uint32_t hwpt_flags, std::optional<std::uint32_t> pasid = {})
      : vmm_(stage.vmm()), pages(vmm_) {
    must(vmm_.open_device(kVf0));
    must(vmm_.bind_iommufd());
    abi::iommu_ioas_alloc ioas{.size = sizeof(ioas), .flags = 0, .out_ioas_id = 0};
    call(IOMMU_IOAS_ALLOC, ioas);
    vmm_.ioas_id = ioas.out_ioas_id;
    abi::iommu_ioas_map map{};
    map.size = sizeof(map);
    map.flags = abi::IOMMU_IOAS_MAP_FIXED_IOVA | abi::IOMMU_IOAS_MAP_READABLE |
                abi::IOMMU_IOAS_MAP_WRITEABLE;
    map.ioas_id = ioas.out_ioas_id;
    map.user_va = pages.address(0);
    map.length = RingPages::kCount * kPageSize;
    map.iova = RingPages::kBase;
    call(IOMMU_IOAS_MAP, map);
    hwpt = alloc(hwpt_flags, ioas.out_ioas_id, nullptr);
    must(attach(hwpt));
    start(pasid);
  }
  std::uint32_t nest(std::uint64_t table) {
    abi::iommu_hwpt_vtd_s1 config{};
    config.pgtbl_addr = RingPages::iova(table);
    config.addr_width = 48;
    return alloc(0, hwpt, &config);
  }
  Result<void> attach(std::uint32_t id, std::optional<std::uint32_t> pasid = {}) {
    abi::vfio_device_attach_iommufd_pt arg{};
    arg.argsz = sizeof(arg);
    arg.flags = pasid ? VFIO_DEVICE_ATTACH_PASID : 0;
    arg.pt_id = id;
    arg.pasid = pasid.value_or(0);
    TEEIO_TRY(vmm_.ioctl(vmm_.vfio, VFIO_DEVICE_ATTACH_IOMMUFD_PT, arg));
    return {};
  }
  Result<void> detach(std::optional<std::uint32_t> pasid = {}) {
    abi::vfio_device_detach_iommufd_pt arg{};
    arg.argsz = sizeof(arg);
    arg.flags = pasid ? VFIO_DEVICE_DETACH_PASID : 0;
    arg.pasid = pasid.value_or(0);
    TEEIO_TRY(vmm_.ioctl(vmm_.vfio, VFIO_DEVICE_DETACH_IOMMUFD_PT, arg));
    return {};
  }
  /// IOMMU_IOAS_MAP_FILE of the first page of `file`, which another VMM may have given.
  void map_file(const object::Ref<object::File>& file, Iova iova) {
    abi::iommu_ioas_map_file map{};
    map.size = sizeof(map);
    map.flags = abi::IOMMU_IOAS_MAP_FIXED_IOVA | abi::IOMMU_IOAS_MAP_READABLE |
                abi::IOMMU_IOAS_MAP_WRITEABLE;
    map.ioas_id = vmm_.ioas_id;
    map.fd = *vmm_.install(file);
    map.length = kPageSize;
    map.iova = raw(iova);
    call(IOMMU_IOAS_MAP_FILE, map);
  }
  Result<void> destroy(std::uint32_t id) { return vmm_.destroy(id); }
  /// Carries out the ring up to descriptor `n`: a fill of kTarget with pattern n.
  void ring(std::uint32_t n) { write(0x24, n); }
  /// The ring's error register, cleared.
  std::uint32_t take_error() {
    std::uint32_t error = 0;
    must_read(0x28, error);
    if (error != 0) write(0x28, error);
    return error;
  }
  void track() {
    abi::iommu_hwpt_set_dirty_tracking arg{};
    arg.size = sizeof(arg);
    arg.flags = abi::IOMMU_HWPT_DIRTY_TRACKING_ENABLE;
    arg.hwpt_id = hwpt;
    call(IOMMU_HWPT_SET_DIRTY_TRACKING, arg);
  }
  /// IOMMU_HWPT_GET_DIRTY_BITMAP, clearing: whether kTarget is dirty.
  bool target_is_dirty() {
    pages.set(RingPages::kBitmap, 0, 0);
    abi::iommu_hwpt_get_dirty_bitmap arg{};
    arg.size = sizeof(arg);
    arg.hwpt_id = hwpt;
    arg.iova = RingPages::kBase;
    arg.length = RingPages::kCount * kPageSize;
    arg.page_size = kPageSize;
    arg.data = pages.address(RingPages::kBitmap);
    call(IOMMU_HWPT_GET_DIRTY_BITMAP, arg);
    return (pages.get(RingPages::kBitmap) >> RingPages::kTarget & 1U) != 0;
  }
  void invalidate(std::uint32_t id, std::uint64_t page) {
    abi::iommu_hwpt_vtd_s1_invalidate command{};
    command.addr = RingPages::iova(page);
    command.npages = 1;
    abi::iommu_hwpt_invalidate arg{};
    arg.size = sizeof(arg);
    arg.hwpt_id = id;
    arg.data_uptr = vmm_.store(bytes_of(command));
    arg.data_type = abi::IOMMU_HWPT_INVALIDATE_DATA_VTD_S1;
    arg.entry_len = sizeof(command);
    arg.entry_num = 1;
    call(IOMMU_HWPT_INVALIDATE, arg);
    TEEIO_CHECK(arg.entry_num == 1, "an invalidation was not carried out");
  }

 private:
  Vmm& vmm_;

 public:
  RingPages pages;
  std::uint32_t hwpt = 0;

 private:
  template <class T>
  void call(std::uint32_t command, T& arg) {
    TEEIO_CHECK(vmm_.ioctl(vmm_.iommufd, command, arg).has_value(), "an iommufd call failed");
  }
  std::uint32_t alloc(std::uint32_t flags, std::uint32_t from, abi::iommu_hwpt_vtd_s1* config) {
    abi::iommu_hwpt_alloc arg{};
    arg.size = sizeof(arg);
    arg.flags = flags;
    arg.dev_id = vmm_.dev_id;
    arg.pt_id = from;
    if (config != nullptr) {
      arg.data_type = abi::IOMMU_HWPT_DATA_VTD_S1;
      arg.data_len = sizeof(*config);
      arg.data_uptr = vmm_.store(bytes_of(*config));
    }
    call(IOMMU_HWPT_ALLOC, arg);
    return arg.out_hwpt_id;
  }
  void write(std::uint64_t offset, std::uint32_t value) {
    TEEIO_CHECK(vmm_.pwrite(vmm_.vfio, offset, bytes_of(value)).has_value(),
                "a register of the card cannot be written");
  }
  void must_read(std::uint64_t offset, std::uint32_t& value) {
    TEEIO_CHECK(vmm_.pread(vmm_.vfio, offset, writable_bytes_of(value)).has_value(),
                "a register of the card cannot be read");
  }
  void start(std::optional<std::uint32_t> pasid) {
    constexpr std::uint64_t kConfig = std::uint64_t{7} << vfio::kRegionShift;
    constexpr std::uint16_t kMemoryAndMaster = 6;
    TEEIO_CHECK(vmm_.pwrite(vmm_.vfio, kConfig + 4, bytes_of(kMemoryAndMaster)).has_value(),
                "the function cannot be enabled");
    const std::array<std::uint64_t, 3> patterns = {kOldPattern, kNewPattern, kLastPattern};
    for (std::uint64_t i = 0; i < patterns.size(); ++i) {
      const std::uint64_t flags = 2 | (pasid ? 1U << 10U : 0U);
      pages.set(0, 4 * i, flags | std::uint64_t{8} << 32U);
      pages.set(0, 4 * i + 1, patterns.at(i));
      pages.set(0, 4 * i + 2, RingPages::iova(RingPages::kTarget));
      pages.set(0, 4 * i + 3, std::uint64_t{pasid.value_or(0)} << 32U);
    }
    write(0x10, static_cast<std::uint32_t>(RingPages::kBase));
    write(0x18, 4);
    write(0x08, 1);
  }
};

}  // namespace teeio::explore
