#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>

#include "host/iommu/mock/mock_iommu.h"
#include "host/iommu/virtual_iommu.h"

namespace teeio::mock {

/// struct mock_iommu_domain_nested: its IOTLB is four numbers.
///
/// Locking: own lock, rank kIommuDomain.
class NestedDomain final : public iommu::NestedDomain {
 public:
  static constexpr std::uint32_t kEntries = 4;  ///< MOCK_NESTED_DOMAIN_IOTLB_NUM
  /// __mock_domain_alloc_nested(). `viommu`: null without. Errors: EOPNOTSUPP another type;
  /// EINVAL; E2BIG; EFAULT.
  static Result<std::unique_ptr<NestedDomain>> create(const Iommu& iommu, VirtualIommu* viommu,
                                                      iommu::UserData& data);

  [[nodiscard]] const iommu::Iommu& iommu() const override { return iommu_; }
  [[nodiscard]] VirtualIommu* viommu() const { return viommu_; }
  /// mock_domain_cache_invalidate_user().
  Result<void> invalidate(iommu::UserData& commands, std::uint32_t& done) override;
  [[nodiscard]] std::uint32_t entry(std::uint32_t index) const TEEIO_EXCLUDES(mutex_);

 private:
  NestedDomain(const Iommu& iommu, VirtualIommu* viommu, std::uint32_t value)
      : iommu_(iommu), viommu_(viommu) {
    iotlb_.fill(value);
  }
  const Iommu& iommu_;
  VirtualIommu* const viommu_;
  mutable schedule::Mutex mutex_{schedule::Rank::kIommuDomain};
  std::array<std::uint32_t, kEntries> iotlb_ TEEIO_GUARDED_BY(mutex_){};
};

/// struct mock_viommu.
///
/// Locking: the IOMMU's.
class VirtualIommu final : public iommu::VirtualIommu {
 public:
  static constexpr std::uint32_t kQueues = 2;  ///< IOMMU_TEST_HW_QUEUE_MAX
  VirtualIommu(Iommu& iommu, iommu::Domain& parent, iommu::EventSink& sink)
      : iommu_(iommu), parent_(parent), sink_(sink) {}

  void add_vdevice(std::uint64_t virt_id, std::uint32_t group) override;
  void remove_vdevice(std::uint64_t virt_id) override;
  Result<std::unique_ptr<iommu::NestedDomain>> alloc_nested(std::uint32_t flags,
                                                            iommu::UserData& data) override;
  /// mock_viommu_cache_invalidate(). EINVAL also: no vDEVICE has the command's id.
  Result<void> invalidate(iommu::UserData& commands, std::uint32_t& done) override;
  [[nodiscard]] bool has_queue_type(std::uint32_t type) const override {
    return type == Iommu::kQueueType;
  }
  /// mock_hw_queue_init_phys().
  Result<std::optional<std::uint32_t>> init_queue(const Queue& queue) override;
  void destroy_queue(std::uint32_t index) override;

  [[nodiscard]] iommu::EventSink& sink() const { return sink_; }
  /// iommufd_viommu_get_vdev_id(). Precondition: the IOMMU's lock is held; the analysis does
  /// not see that it is the caller's own.
  [[nodiscard]] std::optional<std::uint64_t> virt_id_of(std::uint32_t group) const
      TEEIO_NO_THREAD_SAFETY_ANALYSIS;

 private:
  Result<void> drop_caches(std::uint32_t flags, std::uint32_t virt_id, std::uint32_t cache);

  Iommu& iommu_;
  iommu::Domain& parent_;
  iommu::EventSink& sink_;
  std::map<std::uint64_t, std::uint32_t> vdevices_ TEEIO_GUARDED_BY(iommu_.mutex_);  ///< groups
  std::set<std::uint32_t> queues_ TEEIO_GUARDED_BY(iommu_.mutex_);
};

}  // namespace teeio::mock
