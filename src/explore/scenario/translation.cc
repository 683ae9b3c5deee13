// DMA against those who look at, change and end its translations, on Intel's IOMMU: dirty
// bits, first stages over a parent, PASIDs.

#include <array>
#include <string>

#include "base/check.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"
#include "explore/scenario/unexplored.h"
#include "host/vfio/device.h"

namespace teeio::explore {
namespace {

using machine::Config;

constexpr std::uint64_t kOld = 0x1111'1111'1111'1111;
constexpr std::uint64_t kNew = 0x2222'2222'2222'2222;
constexpr std::uint64_t kLast = 0x3333'3333'3333'3333;

/// Pages of the program's memory as its device reaches them: page 0 has the ring, which fills
/// kTarget with the pattern of each descriptor.
class Pages {
 public:
  static constexpr std::uint64_t kBase = 0x10'0000;  ///< IOVA of page 0
  static constexpr std::uint64_t kCount = 16;
  static constexpr std::uint64_t kTarget = 1;
  static constexpr std::uint64_t kOther = 2;
  static constexpr std::uint64_t kFirstStage = 4;   ///< four pages of tables
  static constexpr std::uint64_t kSecondFirst = 8;  ///< four more
  static constexpr std::uint64_t kBitmap = 15;
  static constexpr std::uint64_t iova(std::uint64_t page) { return kBase + page * kPageSize; }

  explicit Pages(Vmm& vmm) : vmm_(vmm), address_(vmm.memory().map(kCount * kPageSize)) {}
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
class Device {
 public:
  Device(Stage& stage, std::uint32_t hwpt_flags, std::optional<std::uint32_t> pasid = {})
      : vmm_(stage.vmm()), pages(vmm_) {
    must(vmm_.open_device(kVf0));
    must(vmm_.bind_iommufd());
    abi::iommu_ioas_alloc ioas{.size = sizeof(ioas), .flags = 0, .out_ioas_id = 0};
    call(IOMMU_IOAS_ALLOC, ioas);
    abi::iommu_ioas_map map{};
    map.size = sizeof(map);
    map.flags = abi::IOMMU_IOAS_MAP_FIXED_IOVA | abi::IOMMU_IOAS_MAP_READABLE |
                abi::IOMMU_IOAS_MAP_WRITEABLE;
    map.ioas_id = ioas.out_ioas_id;
    map.user_va = pages.address(0);
    map.length = Pages::kCount * kPageSize;
    map.iova = Pages::kBase;
    call(IOMMU_IOAS_MAP, map);
    hwpt = alloc(hwpt_flags, ioas.out_ioas_id, nullptr);
    must(attach(hwpt));
    start(pasid);
  }
  std::uint32_t nest(std::uint64_t table) {
    abi::iommu_hwpt_vtd_s1 config{};
    config.pgtbl_addr = Pages::iova(table);
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
    pages.set(Pages::kBitmap, 0, 0);
    abi::iommu_hwpt_get_dirty_bitmap arg{};
    arg.size = sizeof(arg);
    arg.hwpt_id = hwpt;
    arg.iova = Pages::kBase;
    arg.length = Pages::kCount * kPageSize;
    arg.page_size = kPageSize;
    arg.data = pages.address(Pages::kBitmap);
    call(IOMMU_HWPT_GET_DIRTY_BITMAP, arg);
    return (pages.get(Pages::kBitmap) >> Pages::kTarget & 1U) != 0;
  }
  void invalidate(std::uint32_t id, std::uint64_t page) {
    abi::iommu_hwpt_vtd_s1_invalidate command{};
    command.addr = Pages::iova(page);
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
  Pages pages;
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
    const std::array<std::uint64_t, 3> patterns = {kOld, kNew, kLast};
    for (std::uint64_t i = 0; i < patterns.size(); ++i) {
      const std::uint64_t flags = 2 | (pasid ? 1U << 10U : 0U);
      pages.set(0, 4 * i, flags | std::uint64_t{8} << 32U);
      pages.set(0, 4 * i + 1, patterns.at(i));
      pages.set(0, 4 * i + 2, Pages::iova(Pages::kTarget));
      pages.set(0, 4 * i + 3, std::uint64_t{pasid.value_or(0)} << 32U);
    }
    write(0x10, static_cast<std::uint32_t>(Pages::kBase));
    write(0x18, 4);
    write(0x08, 1);
  }
};

// --- Scenarios ---

/// A migration copies what is dirty, round by round, while the device writes. What it has in
/// the end is what is there: no write was missed.
void dirty_against_dma(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Device device(stage, abi::IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
  device.track();
  device.ring(1);
  std::uint64_t copy = 0;
  const auto round = [&] {
    if (device.target_is_dirty()) copy = device.pages.get(Pages::kTarget);
  };
  stage.play({{"device", [&] { device.ring(2); }}, {"migration", [&] {
                                                      round();
                                                      round();
                                                    }}});
  const Unexplored after;
  round();
  TEEIO_CHECK(device.pages.get(Pages::kTarget) == kNew, "the device has not written");
  TEEIO_CHECK(copy == kNew, "a write of the device is in no bitmap");
}

/// Tracking begins while the device writes.
void tracking_against_dma(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Device device(stage, abi::IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
  device.ring(1);
  std::uint64_t copy = 0;
  stage.play({{"device", [&] { device.ring(2); }},
              {"migration", [&] {
                 device.track();
                 copy = device.pages.get(Pages::kTarget);  // the first round has all pages
               }}});
  const Unexplored after;
  if (device.target_is_dirty()) copy = device.pages.get(Pages::kTarget);
  TEEIO_CHECK(copy == kNew, "a write of the device is in no bitmap");
}

/// One first stage takes another's place, and that goes.
void replace_against_dma(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Device device(stage, abi::IOMMU_HWPT_ALLOC_NEST_PARENT);
  device.pages.make_first_stage(Pages::kFirstStage, Pages::kTarget);
  device.pages.make_first_stage(Pages::kSecondFirst, Pages::kOther);
  const std::uint32_t first = device.nest(Pages::kFirstStage);
  const std::uint32_t second = device.nest(Pages::kSecondFirst);
  must(device.attach(first));
  device.ring(1);
  Result<void> destroyed;
  stage.play({{"device", [&] { device.ring(2); }}, {"vmm", [&] {
                                                      must(device.attach(second));
                                                      destroyed = device.destroy(first);
                                                    }}});
  const Unexplored after;
  TEEIO_CHECK(destroyed.has_value(), "a HWPT that nobody uses cannot be destroyed");
  TEEIO_CHECK(device.take_error() == 0, "a replace has left a gap");
  const bool in_first = device.pages.get(Pages::kTarget) == kNew;
  TEEIO_CHECK(in_first != (device.pages.get(Pages::kOther) == kNew),
              "one transfer went to both pages, or to none");
  device.ring(3);
  TEEIO_CHECK(device.pages.get(Pages::kOther) == kLast && device.pages.get(Pages::kTarget) != kLast,
              "DMA goes through a first stage that was replaced");
}

/// A first stage is detached and destroyed.
void destroy_against_dma(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Device device(stage, abi::IOMMU_HWPT_ALLOC_NEST_PARENT);
  device.pages.make_first_stage(Pages::kFirstStage, Pages::kTarget);
  const std::uint32_t nested = device.nest(Pages::kFirstStage);
  must(device.attach(nested));
  device.ring(1);
  stage.play({{"device", [&] { device.ring(2); }}, {"vmm", [&] {
                                                      must(device.detach());
                                                      must(device.destroy(nested));
                                                      must(device.destroy(device.hwpt));
                                                    }}});
  const Unexplored after;
  (void)device.take_error();
  device.ring(3);
  TEEIO_CHECK(device.take_error() != 0 && device.pages.get(Pages::kTarget) != kLast,
              "DMA goes through a HWPT that is gone");
}

/// A guest gives an address another page, and says so.
void invalidate_against_dma(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Device device(stage, abi::IOMMU_HWPT_ALLOC_NEST_PARENT);
  device.pages.make_first_stage(Pages::kFirstStage, Pages::kTarget);
  const std::uint32_t nested = device.nest(Pages::kFirstStage);
  must(device.attach(nested));
  device.ring(1);
  std::uint64_t seen = 0;
  stage.play({{"device", [&] { device.ring(2); }},
              {"guest", [&] {
                 device.pages.lead(Pages::kFirstStage, Pages::kTarget, Pages::kOther);
                 device.invalidate(nested, Pages::kTarget);
                 seen = device.pages.get(Pages::kTarget);
               }}});
  const Unexplored after;
  TEEIO_CHECK(device.take_error() == 0, "an invalidation has left a gap");
  TEEIO_CHECK(device.pages.get(Pages::kTarget) == seen,
              "DMA reached a page after its invalidation was done");
  TEEIO_CHECK((seen == kNew) != (device.pages.get(Pages::kOther) == kNew),
              "one transfer went to both pages, or to none");
  device.ring(3);
  TEEIO_CHECK(device.pages.get(Pages::kOther) == kLast && device.pages.get(Pages::kTarget) == seen,
              "DMA goes where an address led before its invalidation");
}

/// A PASID is detached while the device uses it.
void pasid_against_dma(const Config& design) {
  constexpr std::uint32_t kPasid = 3;
  Config with_pasids = design;
  with_pasids.cards.front().pasid_bits = 4;
  Stage stage(with_pasids, Stage::Card::kAsAtBoot);
  Device device(stage, abi::IOMMU_HWPT_ALLOC_PASID, kPasid);
  must(device.attach(device.hwpt, kPasid));
  device.ring(1);
  TEEIO_CHECK(device.pages.get(Pages::kTarget) == kOld, "DMA with a PASID does not arrive");
  std::uint64_t seen = 0;
  stage.play({{"device", [&] { device.ring(2); }}, {"vmm", [&] {
                                                      must(device.detach(kPasid));
                                                      seen = device.pages.get(Pages::kTarget);
                                                    }}});
  const Unexplored after;
  TEEIO_CHECK(device.pages.get(Pages::kTarget) == seen,
              "DMA with a PASID arrived after it was detached");
  (void)device.take_error();
  device.ring(3);
  TEEIO_CHECK(device.take_error() != 0, "a detached PASID still has its translations");
}

}  // namespace

void add_translation_scenarios(std::vector<MachineScenario>& all) {
  struct Entry {
    std::string name, description;
    void (*body)(const Config&);
  };
  for (const Entry& entry :
       {Entry{"iommu/dirty-against-dma", "GET_DIRTY_BITMAP, clearing, while the device writes",
              dirty_against_dma},
        Entry{"iommu/tracking-against-dma", "dirty tracking begins while the device writes",
              tracking_against_dma},
        Entry{"iommu/replace-nested-against-dma",
              "a nested HWPT takes another's place, which is destroyed, under DMA",
              replace_against_dma},
        Entry{"iommu/destroy-nested-against-dma",
              "a nested HWPT and its parent are detached and destroyed under DMA",
              destroy_against_dma},
        Entry{"iommu/invalidate-against-dma",
              "a first-stage entry changes and is invalidated under DMA", invalidate_against_dma},
        Entry{"iommu/pasid-detach-against-dma", "a PASID is detached under its DMA",
              pasid_against_dma}})
    all.push_back({.name = entry.name,
                   .description = entry.description,
                   .body = entry.body,
                   .firmware = {machine::TsmKind::kTdx},
                   .fits = has_every_door});
}

}  // namespace teeio::explore
