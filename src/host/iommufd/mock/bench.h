#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>

#include "base/result.h"
#include "host/dmabuf/dmabuf.h"
#include "host/iommu/mock/mock_iommu.h"
#include "host/iommufd/context.h"
#include "host/mm/caller.h"
#include "object/file.h"
#include "schedule/mutex.h"

namespace teeio::mock {

class AccessFile;
class TestDevice;

/// The test interface of a machine's iommufds; each method names its
/// IOMMU_TEST_OP_*. Source: Linux drivers/iommu/iommufd/selftest.c.
///
/// Lifetime: outlives every open file.
/// Locking: its own leaf over numbers and buffers.
class Bench {
 public:
  Bench(hw::PhysicalMemory& memory, iommufd::PinBook& pins);
  ~Bench();
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  struct Device {
    iommufd::ObjectId stdev_id = 0;
    iommufd::ObjectId hwpt_id = 0;
    iommufd::ObjectId idev_id = 0;
  };
  /// MOCK_DOMAIN, MOCK_DOMAIN_FLAGS: a new function, bound and attached to `pt_id`. Errors:
  /// EINVAL a flag; ENOSPC; Idevice::bind()'s and attach()'s.
  Result<Device> add_device(iommufd::Context& context, iommufd::ObjectId pt_id,
                            std::uint32_t flags);
  /// MOCK_DOMAIN_REPLACE; gives the HWPT. Errors: ENOENT; Idevice::replace()'s.
  Result<iommufd::ObjectId> replace(iommufd::Context& context, iommufd::ObjectId stdev_id,
                                    iommufd::ObjectId pt_id, std::uint32_t pasid);
  /// PASID_ATTACH. Errors: ENOENT; Idevice::attach()'s.
  Result<iommufd::ObjectId> attach_pasid(iommufd::Context& context, iommufd::ObjectId stdev_id,
                                         iommufd::ObjectId pt_id, std::uint32_t pasid);
  /// PASID_DETACH. Errors: ENOENT.
  Result<void> detach_pasid(iommufd::Context& context, iommufd::ObjectId stdev_id,
                            std::uint32_t pasid);
  /// PASID_CHECK_HWPT; `hwpt_id` 0: nothing is attached. Errors: ENOENT; EINVAL it is not so.
  Result<void> check_pasid(iommufd::Context& context, iommufd::ObjectId stdev_id,
                           std::uint32_t pasid, iommufd::ObjectId hwpt_id);

  /// ADD_RESERVED. Errors: EINVAL empty; EOVERFLOW; ENOENT; EADDRINUSE.
  Result<void> add_reserved(iommufd::Context& context, iommufd::ObjectId ioas_id,
                            std::uint64_t start, std::uint64_t length);
  /// MD_CHECK_MAP: the HWPT leads from each IOVA to the page at the program's address.
  /// Errors: ENOENT; EFAULT; EINVAL misaligned, another kind of HWPT, or it does not.
  Result<void> check_map(iommufd::Context& context, mm::UserMemory& memory,
                         iommufd::ObjectId hwpt_id, std::uint64_t iova, std::uint64_t length,
                         std::uint64_t address);
  /// MD_CHECK_REFS: each page is pinned so often. Errors: EINVAL misaligned; EFAULT; EIO.
  Result<void> check_refs(mm::UserMemory& memory, std::uint64_t address, std::uint64_t length,
                          std::uint32_t refs);
  /// MD_CHECK_IOTLB. Errors: ENOENT; EINVAL.
  Result<void> check_iotlb(iommufd::Context& context, iommufd::ObjectId hwpt_id,
                           std::uint32_t index, std::uint32_t value);
  /// DEV_CHECK_CACHE. Errors: ENOENT; EINVAL.
  Result<void> check_cache(iommufd::Context& context, iommufd::ObjectId dev_id, std::uint32_t index,
                           std::uint32_t value);
  /// DIRTY: one bit a page; gives how many were set. Errors: EINVAL; EOVERFLOW; ENOENT; EFAULT.
  struct Dirty {
    iommufd::ObjectId hwpt_id = 0;
    std::uint64_t iova = 0;
    std::uint64_t length = 0;
    std::uint64_t page_size = 0;
    std::uint64_t bitmap = 0;
  };
  Result<std::uint64_t> set_dirty(iommufd::Context& context, mm::UserMemory& memory,
                                  const Dirty& dirty);
  /// TRIGGER_IOPF. Errors: ENOENT; EINVAL no mock function.
  Result<void> trigger_fault(iommufd::Context& context, iommufd::ObjectId dev_id,
                             const iommufd::PageRequest& request);
  /// TRIGGER_VEVENT. Errors: ENOENT also: it is behind no vIOMMU; EOPNOTSUPP nobody listens.
  Result<void> trigger_event(iommufd::Context& context, iommufd::ObjectId dev_id);

  /// CREATE_ACCESS. Errors: EOPNOTSUPP a flag; Access::attach()'s.
  Result<object::Ref<object::File>> create_access(iommufd::Context& context,
                                                  iommufd::ObjectId ioas_id, std::uint32_t flags);
  /// The file of CREATE_ACCESS behind a descriptor. Errors: EBADFD.
  static Result<object::Ref<AccessFile>> access(mm::Caller& caller, std::int32_t fd);

  /// DMABUF_GET. Errors: EINVAL no length, or one above 2 MiB; ENOMEM.
  Result<object::Ref<object::File>> make_buffer(std::uint32_t length);
  /// DMABUF_REVOKE. Errors: EBADF; EINVAL no dma-buf; EOPNOTSUPP another exporter's.
  Result<void> revoke_buffer(mm::Caller& caller, std::int32_t fd, bool revoked);

 private:
  friend class TestDevice;
  class Buffer;
  /// The mock function behind an idevice. Errors: ENOENT; EINVAL another's.
  struct Bound;
  Result<Bound> bound(iommufd::Context& context, iommufd::ObjectId dev_id);
  Result<std::uint32_t> take_number() TEEIO_EXCLUDES(lock_);
  void release_number(std::uint32_t number) TEEIO_EXCLUDES(lock_);

  hw::PhysicalMemory& memory_;
  iommufd::PinBook& pins_;
  Iommu iommu_;
  schedule::Mutex lock_{schedule::Rank::kLeaf};
  std::set<std::uint32_t> numbers_ TEEIO_GUARDED_BY(lock_);
  std::map<const dmabuf::DmaBuf*, std::unique_ptr<Buffer>> buffers_ TEEIO_GUARDED_BY(lock_);
};

}  // namespace teeio::mock
