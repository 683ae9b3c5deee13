#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/iommu/amd/page_table.h"
#include "host/iommu/iommu.h"
#include "schedule/atomic.h"
#include "schedule/mutex.h"

namespace teeio::amdvi {

class Driver;

/// A paging domain of host page tables (Linux: struct protection_domain, PD_MODE_V1).
///
/// Locking: own lock, rank kIommuDomain; not held while the driver's is.
class Domain final : public iommu::Domain, private iommu::DirtyTracking {
 public:
  ~Domain() override;

  /// EINVAL without access.
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
  [[nodiscard]] std::uint64_t page_sizes() const override { return PageTable::kPageSizes; }
  [[nodiscard]] std::uint64_t last_iova() const override { return PageTable::kLastIova; }
  /// The root's address, and the count of levels in the low bits.
  [[nodiscard]] std::uint64_t top() const { return top_.load(); }

 private:
  friend class Driver;
  Domain(Driver& driver, const iommu::PagingRequest& request, std::uint16_t id,
         std::unique_ptr<PageTable> table);
  /// amd_iommu_set_dirty_tracking(): HAD of every device table entry that uses the domain.
  Result<void> set_dirty_tracking(bool on) override;
  void read_dirty(std::uint64_t first, std::uint64_t length, Clear clear, Visitor& visitor) override
      TEEIO_EXCLUDES(mutex_);
  Result<void> cover(Iova last) TEEIO_EXCLUDES(mutex_);
  void flush(Iova iova, std::uint64_t length, const std::vector<Hpa>& freed);

  Driver& driver_;
  const Kind kind_;
  const bool has_dirty_;
  bool tracks_dirty_ = false;  ///< the driver's lock guards it
  const std::uint16_t id_;
  /// What device table entries get; read without the lock.
  schedule::Atomic<std::uint64_t> top_;
  mutable schedule::Mutex mutex_{schedule::Rank::kIommuDomain};
  /// The pointer is constant; what it points to is guarded.
  const std::unique_ptr<PageTable> table_ TEEIO_PT_GUARDED_BY(mutex_);
};

}  // namespace teeio::amdvi
