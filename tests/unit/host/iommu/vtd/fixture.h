#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "host/iommu/user_data.h"
#include "host/iommu/vtd/driver.h"
#include "object/trace.h"

namespace teeio::vtd::test {

inline constexpr std::uint32_t kVtdS1 = 1;            // IOMMU_HWPT_DATA_VTD_S1
inline constexpr std::uint32_t kInvalidateVtdS1 = 0;  // IOMMU_HWPT_INVALIDATE_DATA_VTD_S1

/// Structures of a program, one after the other.
template <class T>
struct Structs final : iommu::UserData {
  explicit Structs(std::uint32_t type, std::vector<T> given, std::uint32_t size = sizeof(T))
      : UserData(type, size, static_cast<std::uint32_t>(given.size())), all(std::move(given)) {}
  Result<void> read(std::uint32_t index, std::uint32_t offset, std::span<std::byte> out) override {
    const std::uint64_t at = std::uint64_t{index} * length() + offset;
    if (at + out.size() > all.size() * sizeof(T)) return fail(Errno::kFault, "no memory");
    std::memcpy(out.data(), std::as_bytes(std::span(all)).subspan(at).data(), out.size());
    return {};
  }
  Result<void> write(ByteView) override { return fail(Errno::kFault, "not written"); }
  std::vector<T> all;
};

/// struct iommu_hwpt_vtd_s1 and struct iommu_hwpt_vtd_s1_invalidate.
struct FirstStage {
  std::uint64_t flags = 0;
  std::uint64_t table = 0;
  std::uint32_t width = 48;
  std::uint32_t reserved = 0;
};
struct Invalidation {
  std::uint64_t address = 0;
  std::uint64_t pages = 1;
  std::uint32_t flags = 0;
  std::uint32_t reserved = 0;
};

/// What a scan for dirty pages told.
struct Seen final : iommu::DirtyTracking::Visitor {
  void dirty(std::uint64_t first, std::uint64_t length) override {
    ranges.emplace_back(first, length);
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
};

/// An IOMMU with a function that has PASIDs and one that has not, each its own group, owned.
class DriverTest : public testing::Test {
 protected:
  static constexpr Bdf kNic{0, 1, 0, 0};    ///< group 1, PASIDs
  static constexpr Bdf kPlain{0, 2, 0, 0};  ///< group 2
  using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  static constexpr auto kClear = iommu::DirtyTracking::Clear::kYes;
  static constexpr auto kKeep = iommu::DirtyTracking::Clear::kNo;

  DriverTest() {
    EXPECT_TRUE(driver->probe(kNic, 1, 20).has_value());
    EXPECT_TRUE(driver->probe(kPlain, 2).has_value());
    for (const std::uint32_t group : {1U, 2U})
      EXPECT_TRUE(driver->claim_dma_owner(group, &owner).has_value());
  }
  std::unique_ptr<iommu::Domain> domain(bool dirty = false,
                                        Domain::Kind kind = Domain::Kind::kPlain) {
    return *driver->alloc_paging_domain(
        iommu::PagingRequest{.group = 1, .kind = kind, .dirty_tracking = dirty});
  }
  std::unique_ptr<iommu::NestedDomain> nested(iommu::Domain& parent, FirstStage config) {
    Structs<FirstStage> data(kVtdS1, {config});
    return *driver->alloc_nested(1, parent, 0, data);
  }
  std::optional<Hpa> reach(Iova iova, hw::DmaAccess access = hw::DmaAccess::kRead,
                           std::optional<hw::Pasid> pasid = {}, Bdf function = kNic) {
    const auto found =
        iommu.translate(hw::Requester(function.rid(), pasid), hw::TBit::kShared, iova, access);
    return found.has_value() ? std::optional(found->address) : std::nullopt;
  }
  Ranges dirty(iommu::Domain& domain, iommu::DirtyTracking::Clear clear, std::uint64_t first = 0,
               std::uint64_t length = std::uint64_t{1} << 40U) {
    Seen seen;
    domain.dirty_tracking()->read_dirty(first, length, clear, seen);
    return seen.ranges;
  }
  bool write(Iova iova, std::optional<hw::Pasid> pasid = {}) {
    return reach(iova, hw::DmaAccess::kWrite, pasid).has_value();
  }

  hw::PhysicalMemory memory{std::uint64_t{64} << 20U};
  object::Trace trace;
  hw::VtdIommu iommu{memory, trace, 0};
  std::unique_ptr<Driver> driver = *Driver::create(memory, iommu, DefaultDomain::kTranslated);
  int owner = 0;
};

}  // namespace teeio::vtd::test
