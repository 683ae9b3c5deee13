#pragma once

#include <cstdint>

#include "host/iommufd/access.h"
#include "host/iommufd/viommu.h"

namespace teeio::iommufd {

/// A command or event queue of a guest that the hardware reads by itself (Linux: struct
/// iommufd_hw_queue, drivers/iommu/iommufd/viommu.c).
///
/// Lifetime: a user of its vIOMMU, and of the queue that must outlive it. The guest's pages
/// stay mapped as long as it is there.
class HwQueue final : public Object {
 public:
  static constexpr ObjectType kType = ObjectType::kHwQueue;

  struct Request {
    std::uint32_t type = 0;
    std::uint32_t index = 0;
    std::uint64_t base = 0;  ///< in the nest parent
    std::uint64_t length = 0;
  };
  /// iommufd_hw_queue_alloc_ioctl(), behind its first checks. Not finalized. Errors:
  /// EOPNOTSUPP no queues of that type; ERANGE; ENOENT, EPERM, EINVAL what the parent maps
  /// there; EFAULT the pages do not follow each other; VirtualIommu::init_queue()'s.
  static Result<NewObject<HwQueue>> create(Context& context, Viommu& viommu,
                                           const Request& request);

 private:
  HwQueue(Viommu& viommu, std::uint32_t index);
  ~HwQueue() override = default;
  /// iommufd_hw_queue_destroy().
  void destroy() override;
  /// iommufd_hw_queue_alloc_phys(): where the queue is on the bus.
  Result<Hpa> pin(Context& context, const Request& request);

  Viommu& viommu_;
  const std::uint32_t index_;
  Access* access_ = nullptr;
  bool started_ = false;
  std::uint64_t pinned_iova_ = 0;
  std::uint64_t pinned_length_ = 0;  ///< 0: nothing is
  HwQueue* before_ = nullptr;
};

}  // namespace teeio::iommufd
