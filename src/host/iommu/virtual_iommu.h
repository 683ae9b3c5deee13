#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "host/iommu/iommu.h"
#include "host/iommu/user_data.h"

namespace teeio::iommu {

/// A guest's first stage over a nest parent (Linux: a domain of type IOMMU_DOMAIN_NESTED).
///
/// Lifetime: used by no group when it dies; its parent outlives it.
class NestedDomain : public Attachable {
 public:
  /// domain_ops::cache_invalidate_user: carries out the commands in order; `done` counts
  /// those that were. Errors: EINVAL another type, a bad command; EOPNOTSUPP a flag;
  /// E2BIG; EFAULT.
  virtual Result<void> invalidate(UserData& commands, std::uint32_t& done) = 0;
};

/// Where a driver reports what happened behind a vIOMMU (Linux:
/// iommufd_viommu_report_event()).
class EventSink {
 public:
  /// Errors: EOPNOTSUPP nobody has made a queue of that type. An event that a full queue
  /// does not take is lost, with success.
  virtual Result<void> report(std::uint32_t type, ByteView event) = 0;

 protected:
  ~EventSink() = default;
};

/// Memory of a driver that programs may map through the iommufd (Linux:
/// iommufd_viommu_alloc_mmap()).
class SharedPages {
 public:
  /// Makes room for `length` bytes; gives the offset for mmap(). Errors: ENOMEM.
  virtual Result<std::uint64_t> share(std::uint64_t length, ByteView contents) = 0;

 protected:
  ~SharedPages() = default;
};

/// A driver's part of a vIOMMU (Linux: struct iommufd_viommu_ops and what a driver keeps
/// behind it).
///
/// Lifetime: its nested domains and queues go first; the sink outlives it.
/// Locking: the driver's.
class VirtualIommu {
 public:
  virtual ~VirtualIommu() = default;
  VirtualIommu() = default;
  VirtualIommu(const VirtualIommu&) = delete;
  VirtualIommu& operator=(const VirtualIommu&) = delete;

  /// A function of the guest comes or goes (Linux: viommu->vdevs, which drivers search).
  virtual void add_vdevice(std::uint64_t virt_id, std::uint32_t group) = 0;
  virtual void remove_vdevice(std::uint64_t virt_id) = 0;

  /// alloc_domain_nested. Errors: EOPNOTSUPP a flag or a type; EINVAL; E2BIG; EFAULT.
  virtual Result<std::unique_ptr<NestedDomain>> alloc_nested(std::uint32_t flags,
                                                             UserData& data) = 0;
  /// cache_invalidate. As NestedDomain::invalidate().
  virtual Result<void> invalidate(UserData& commands, std::uint32_t& done) = 0;

  /// get_hw_queue_size: whether there are queues of that type.
  [[nodiscard]] virtual bool has_queue_type(std::uint32_t type) const = 0;
  struct Queue {
    std::uint32_t index = 0;
    Iova base{0};
    std::optional<Hpa> memory;  ///< where `base` leads to
  };
  /// hw_queue_init_phys. Gives the index of the queue that must outlive this one, if
  /// any. Errors: EINVAL no such index; EEXIST; EIO the one before it is missing; EFAULT
  /// `memory` is not what the parent translates `base` to.
  virtual Result<std::optional<std::uint32_t>> init_queue(const Queue& queue) = 0;
  virtual void destroy_queue(std::uint32_t index) = 0;
};

}  // namespace teeio::iommu
