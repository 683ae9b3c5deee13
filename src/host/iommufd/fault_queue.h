#pragma once

#include <cstdint>
#include <deque>
#include <map>

#include "host/iommufd/event_queue.h"

namespace teeio::iommufd {

/// A group of page requests with one answer (Linux: struct iommu_fault_page_request). The
/// fields' bits are the uAPI's.
struct PageRequest {
  std::uint32_t pasid = 0;  ///< kNoPasid: without one
  std::uint32_t group = 0;  ///< the device's page request group index
  std::uint32_t permission = 0;
  std::uint64_t address = 0;
};

/// Where page requests wait for the program's answer (Linux: struct iommufd_fault,
/// drivers/iommu/iommufd/eventq.c; each method names its function).
///
/// Lifetime: each HWPT that sends to it is a user.
/// Locking: one lock for Linux's two.
class FaultQueue final : public EventQueue {
 public:
  static constexpr ObjectType kType = ObjectType::kFault;
  FaultQueue() : EventQueue(kType) {}

  /// iommufd_fault_iopf_handler(). `handle`: the attachment through which it came;
  /// `device`: the idevice's id.
  void deliver(std::uint64_t handle, ObjectId device, const PageRequest& request)
      TEEIO_EXCLUDES(lock_);
  /// iommufd_auto_response_faults(): what came through `handle` is answered as invalid.
  void answer_all_of(std::uint64_t handle) TEEIO_EXCLUDES(lock_);

  /// iommufd_fault_fops_read(): each group that fits, which waits for its answer from here
  /// on. Errors: ESPIPE a size that is no multiple of a record; EINVAL no room for one.
  Result<std::size_t> read(std::span<std::byte> out) override TEEIO_EXCLUDES(lock_);
  /// iommufd_fault_fops_write(): answers. Errors of the first: ESPIPE likewise; EINVAL no
  /// such code, or no group with that cookie waits.
  Result<std::size_t> write(ByteView in) override TEEIO_EXCLUDES(lock_);
  void put_back(ByteView records) override TEEIO_EXCLUDES(lock_);
  [[nodiscard]] std::size_t record_bytes() const override;

 private:
  struct Waiting {
    std::uint64_t handle;
    ObjectId device;
    PageRequest request;
  };
  ~FaultQueue() override = default;
  /// iommufd_fault_destroy(): nobody sends or reads any more.
  void destroy() override TEEIO_EXCLUDES(lock_);
  [[nodiscard]] std::uint32_t free_cookie() const TEEIO_REQUIRES(lock_);

  std::deque<Waiting> deliver_ TEEIO_GUARDED_BY(lock_);
  std::map<std::uint32_t, Waiting> response_ TEEIO_GUARDED_BY(lock_);  ///< by cookie
};

}  // namespace teeio::iommufd
