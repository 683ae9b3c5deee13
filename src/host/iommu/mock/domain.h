#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "host/iommu/iommu.h"
#include "schedule/mutex.h"

namespace teeio::mock {

class Iommu;

/// Which page table a domain has (abi: MOCK_IOMMUPT_*).
enum class Table : std::uint8_t { kDefault, kHuge };

/// A paging domain of the mock (Linux: struct mock_iommu_domain over amdv1_mock): a page
/// table whose smallest page is 2 KiB, half of the CPU's.
///
/// Locking: own lock, rank kIommuDomain.
class Domain final : public iommu::Domain, private iommu::DirtyTracking {
 public:
  static constexpr std::uint64_t kPage = 2048;             ///< MOCK_PAGE_SIZE
  static constexpr std::uint64_t kHugePage = 512 * kPage;  ///< MOCK_HUGE_PAGE_SIZE
  static constexpr std::uint64_t kFirstIova = 1U << 24U;   ///< MOCK_APERTURE_START
  static constexpr std::uint64_t kLastIova = (std::uint64_t{1} << 31U) - 1;

  Domain(const Iommu& iommu, const iommu::PagingRequest& request, Table table);
  ~Domain() override;

  /// Enters the range as the largest pages that both addresses allow. Errors: EINVAL no
  /// access.
  Result<void> map(Iova iova, Hpa hpa, std::uint64_t length, iommu::Prot prot) override
      TEEIO_EXCLUDES(mutex_);
  std::uint64_t unmap(Iova iova, std::uint64_t length) override TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] std::optional<Hpa> translate(Iova iova) const override TEEIO_EXCLUDES(mutex_);

  [[nodiscard]] Kind kind() const override { return kind_; }
  [[nodiscard]] iommu::DirtyTracking* dirty_tracking() override {
    return has_dirty_ ? this : nullptr;
  }
  [[nodiscard]] const iommu::Iommu& iommu() const override;
  [[nodiscard]] std::uint64_t page_sizes() const override;
  [[nodiscard]] std::uint64_t first_iova() const override;
  [[nodiscard]] std::uint64_t last_iova() const override;

  [[nodiscard]] bool tracking() const TEEIO_EXCLUDES(mutex_);
  /// Makes the page at `iova` dirty, as DMA would, if there is one.
  void set_dirty(std::uint64_t iova) TEEIO_EXCLUDES(mutex_);

 private:
  /// A page of the table.
  struct Leaf {
    Hpa hpa;
    std::uint64_t size;
    bool dirty;
  };
  using Leaves = std::map<std::uint64_t, Leaf>;
  /// The leaf that `iova` lies in, or end().
  Leaves::const_iterator find(std::uint64_t iova) const TEEIO_REQUIRES(mutex_);
  [[nodiscard]] std::uint64_t page_for(std::uint64_t iova, std::uint64_t hpa,
                                       std::uint64_t length) const;

  Result<void> set_dirty_tracking(bool on) override TEEIO_EXCLUDES(mutex_);
  void read_dirty(std::uint64_t first, std::uint64_t length, Clear clear, Visitor& visitor) override
      TEEIO_EXCLUDES(mutex_);

  const Iommu& iommu_;
  const Kind kind_;
  const Table table_;
  const bool has_dirty_;
  mutable schedule::Mutex mutex_{schedule::Rank::kIommuDomain};
  Leaves leaves_ TEEIO_GUARDED_BY(mutex_);
  bool tracking_ TEEIO_GUARDED_BY(mutex_) = false;
};

}  // namespace teeio::mock
