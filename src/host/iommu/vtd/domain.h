#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/types.h"
#include "host/iommu/vtd/page_table.h"
#include "hw/iommu.h"
#include "schedule/mutex.h"

namespace teeio::vtd {

class Driver;

/// A paging domain (Linux: struct dmar_domain, second stage): one set of page
/// tables that any number of functions may use.
///
/// Lifetime: made by Driver::alloc_paging_domain(), which must outlive it; used
/// by no group when it dies.
/// Locking: own lock, rank kIommuDomain.
class Domain {
 public:
  enum class Kind : std::uint8_t { kPlain, kNestParent };
  ~Domain();
  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;

  /// iommu_map(). Preconditions as PageTable::map(). Errors, nothing being mapped:
  /// EINVAL without access, or without write access in a nest parent, for erratum
  /// 772415 (vtdss_pt_iommu_set_prot(), PT_FEAT_VTDSS_FORCE_WRITEABLE); ENOMEM.
  Result<void> map(Iova iova, Hpa hpa, std::uint64_t length, Prot prot) TEEIO_EXCLUDES(mutex_);
  /// iommu_unmap(): after its return no DMA through this domain reaches the
  /// range. Gives the bytes that were mapped.
  std::uint64_t unmap(Iova iova, std::uint64_t length) TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] std::optional<Hpa> translate(Iova iova) const TEEIO_EXCLUDES(mutex_);

  [[nodiscard]] Kind kind() const { return kind_; }
  /// The only IOMMU whose functions can use it.
  [[nodiscard]] const Driver& driver() const { return driver_; }
  [[nodiscard]] std::uint16_t id() const { return id_; }
  /// domain->pgsize_bitmap.
  [[nodiscard]] static constexpr std::uint64_t page_sizes() {
    return std::uint64_t{1} << 12U | std::uint64_t{1} << 21U | std::uint64_t{1} << 30U;
  }
  /// domain->geometry.aperture_end.
  [[nodiscard]] static constexpr std::uint64_t last_iova() { return PageTable::kLastIova; }

 private:
  friend class Driver;
  Domain(Driver& driver, Kind kind, std::uint16_t id, std::unique_ptr<PageTable> table)
      : driver_(driver), kind_(kind), id_(id), root_(table->root()), table_(std::move(table)) {}
  [[nodiscard]] Hpa root() const { return root_; }
  void flush(Iova iova, std::uint64_t length, const std::vector<Hpa>& freed);

  Driver& driver_;
  const Kind kind_;
  const std::uint16_t id_;
  const Hpa root_;
  mutable schedule::Mutex mutex_{schedule::Rank::kIommuDomain};
  /// The pointer is constant; what it points to is guarded.
  const std::unique_ptr<PageTable> table_ TEEIO_PT_GUARDED_BY(mutex_);
};

}  // namespace teeio::vtd
