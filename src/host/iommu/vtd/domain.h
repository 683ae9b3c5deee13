#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/iommu/iommu.h"
#include "host/iommu/vtd/page_table.h"
#include "schedule/mutex.h"

namespace teeio::vtd {

class Driver;

/// A paging domain of VT-d's second stage (Linux: struct dmar_domain).
///
/// Locking: own lock, rank kIommuDomain.
class Domain final : public iommu::Domain, private iommu::DirtyTracking {
 public:
  ~Domain() override;

  /// EINVAL without access, or without write access in a nest parent of an IOMMU
  /// with erratum 772415 (vtdss_pt_iommu_set_prot(), PT_FEAT_VTDSS_FORCE_WRITEABLE).
  Result<void> map(Iova iova, Hpa hpa, std::uint64_t length, Prot prot) override
      TEEIO_EXCLUDES(mutex_);
  std::uint64_t unmap(Iova iova, std::uint64_t length) override TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] std::optional<Hpa> translate(Iova iova) const override TEEIO_EXCLUDES(mutex_);

  [[nodiscard]] Kind kind() const override { return kind_; }
  [[nodiscard]] iommu::DirtyTracking* dirty_tracking() override {
    return has_dirty_ ? this : nullptr;
  }
  [[nodiscard]] const iommu::Iommu& iommu() const override;
  [[nodiscard]] std::uint16_t id() const { return id_; }
  [[nodiscard]] std::uint64_t page_sizes() const override {
    return std::uint64_t{1} << 12U | std::uint64_t{1} << 21U | std::uint64_t{1} << 30U;
  }
  [[nodiscard]] std::uint64_t last_iova() const override { return PageTable::kLastIova; }

  /// A nested domain over this one, by its id: what changes here leaves its translations too
  /// (Linux: s2_domain->s1_domains, cache tags of type CACHE_TAG_NESTING_IOTLB).
  void add_nested(std::uint16_t id) TEEIO_EXCLUDES(mutex_);
  void remove_nested(std::uint16_t id) TEEIO_EXCLUDES(mutex_);

 private:
  friend class Driver;
  Domain(Driver& driver, const iommu::PagingRequest& request, std::uint16_t id,
         std::unique_ptr<PageTable> table)
      : driver_(driver),
        kind_(request.kind),
        has_dirty_(request.dirty_tracking),
        id_(id),
        root_(table->root()),
        table_(std::move(table)) {}
  [[nodiscard]] Hpa root() const { return root_; }
  /// intel_iommu_set_dirty_tracking(): SSADE of every PASID entry that uses the domain.
  Result<void> set_dirty_tracking(bool on) override;
  /// pt_iommu_read_and_clear_dirty(), and the flush that ends it: a write that comes later
  /// sets the bit anew.
  void read_dirty(std::uint64_t first, std::uint64_t length, Clear clear, Visitor& visitor) override
      TEEIO_EXCLUDES(mutex_);
  void invalidate(Iova iova, std::uint64_t length) TEEIO_REQUIRES(mutex_);
  void flush(Iova iova, std::uint64_t length, const std::vector<Hpa>& freed) TEEIO_REQUIRES(mutex_);

  Driver& driver_;
  const Kind kind_;
  const bool has_dirty_;
  bool tracks_dirty_ = false;  ///< the driver's lock guards it
  const std::uint16_t id_;
  const Hpa root_;
  mutable schedule::Mutex mutex_{schedule::Rank::kIommuDomain};
  /// The pointer is constant; what it points to is guarded.
  const std::unique_ptr<PageTable> table_ TEEIO_PT_GUARDED_BY(mutex_);
  std::set<std::uint16_t> nested_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::vtd
