#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/result.h"
#include "host/iommu/user_data.h"
#include "host/iommufd/environment.h"
#include "host/iommufd/event_queue.h"
#include "host/iommufd/hw_queue.h"
#include "host/iommufd/idevice.h"
#include "host/iommufd/io_pagetable.h"
#include "host/iommufd/mappings.h"
#include "host/iommufd/object.h"
#include "host/mm/caller.h"
#include "object/file.h"
#include "schedule/consulted.h"
#include "schedule/seeded_bug.h"

namespace teeio::iommufd {

/// An open /dev/iommu (Linux: struct iommufd_ctx) and its ioctls as methods.
/// Arguments have been copied in and reserved fields checked; structure sizes
/// and copying are entry/'s. Flags are the uAPI's bits.
///
/// Lifetime: an open file; each bound device holds a reference, so VFIO's
/// descriptor is always released first.
/// Locking: none of its own except over groups; objects have theirs.
class Context final : public object::File {
 public:
  /// IOMMU_IOAS_MAP_* bits.
  static constexpr std::uint32_t kMapFixedIova = 1;
  static constexpr std::uint32_t kMapWriteable = 2;
  static constexpr std::uint32_t kMapReadable = 4;

  /// open("/dev/iommu").
  [[nodiscard]] static object::Ref<Context> open(Environment& environment);

  /// IOMMU_DESTROY. Errors: ENOENT; EBUSY.
  Result<void> destroy(ObjectId id);

  /// IOMMU_IOAS_ALLOC. Errors: EOPNOTSUPP a flag.
  Result<ObjectId> ioas_alloc(std::uint32_t flags);
  /// IOMMU_IOAS_IOVA_RANGES. Errors: ENOENT.
  Result<IoPagetable::Ranges> ioas_iova_ranges(ObjectId ioas_id);
  /// IOMMU_IOAS_ALLOW_IOVAS. Errors: ENOENT; EINVAL empty or overlapping;
  /// EADDRINUSE reserved.
  Result<void> ioas_allow_iovas(ObjectId ioas_id, const std::vector<IovaRange>& ranges);

  struct Map {
    ObjectId ioas_id = 0;
    std::uint32_t flags = 0;
    std::uint64_t length = 0;
    std::uint64_t iova = 0;  ///< used with kMapFixedIova
  };
  /// IOMMU_IOAS_MAP; gives the IOVA. Errors: EOPNOTSUPP a flag; EOVERFLOW;
  /// EINVAL neither readable nor writeable, or no length; ENOENT; EFAULT memory
  /// that is not there, if a HWPT needs it now; IoPagetable::map()'s.
  Result<std::uint64_t> ioas_map(mm::UserMemory& memory, const Map& map, std::uint64_t user_va);
  /// IOMMU_IOAS_MAP_FILE: `file` is a memfd or a dma-buf. Errors: as ioas_map();
  /// EINVAL another kind of file or a range outside of a dma-buf; ENODEV a
  /// revoked one; EOPNOTSUPP one of several ranges.
  Result<std::uint64_t> ioas_map_file(object::Ref<object::File> file, const Map& map,
                                      std::uint64_t start);
  /// IOMMU_IOAS_COPY: `map` is the destination. Errors: as ioas_map(); ENOENT a
  /// gap in the source; EPERM.
  Result<std::uint64_t> ioas_copy(const Map& map, ObjectId source_id, std::uint64_t source_iova);
  /// IOMMU_IOAS_UNMAP of whole mappings; (0, 2^64 - 1) is everything. Gives the
  /// count of bytes. Errors: EINVAL; EOVERFLOW; ENOENT nothing there, or a
  /// mapping would be cut; EBUSY.
  Result<std::uint64_t> ioas_unmap(ObjectId ioas_id, std::uint64_t iova, std::uint64_t length);

  /// IOMMU_IOAS_CHANGE_PROCESS: from here on the caller pays for what is pinned. Errors:
  /// EINVAL an IOAS has something else than memfds; EBUSY; ENOMEM it may not pin so much,
  /// and nothing changes.
  Result<void> ioas_change_process();

  /// IOMMU_OPTION_HUGE_PAGES of an IOAS. Errors: ENOENT; EINVAL.
  Result<bool> ioas_huge_pages(ObjectId ioas_id);
  Result<void> set_ioas_huge_pages(ObjectId ioas_id, std::uint64_t value);
  /// IOMMU_OPTION_RLIMIT_MODE: 1 accounts by mm. Errors: EBUSY with objects;
  /// EINVAL.
  [[nodiscard]] std::uint64_t rlimit_mode();
  Result<void> set_rlimit_mode(std::uint64_t value);

  struct HwptAlloc {
    std::uint32_t flags = 0;
    ObjectId dev_id = 0;
    ObjectId pt_id = 0;  ///< an IOAS; or a HWPT or vIOMMU: the nest parent
    ObjectId fault_id = 0;
  };
  /// IOMMU_HWPT_ALLOC. Errors: EINVAL `data` without type or the reverse, no such
  /// pt_id or another type; ENOENT no such device or fault queue; HwptPaging::create()'s,
  /// HwptNested::create()'s.
  Result<ObjectId> hwpt_alloc(const HwptAlloc& alloc, iommu::UserData& data);

  /// IOMMU_HWPT_INVALIDATE of a nested HWPT or a vIOMMU; `done` counts the commands that
  /// were carried out. Errors: ENOENT; EINVAL anything else; EOPNOTSUPP a vIOMMU without;
  /// NestedDomain::invalidate()'s, VirtualIommu::invalidate()'s.
  Result<void> hwpt_invalidate(ObjectId id, iommu::UserData& commands, std::uint32_t& done);
  /// IOMMU_HWPT_SET_DIRTY_TRACKING. Errors: ENOENT; EOPNOTSUPP a HWPT that was not made for it.
  Result<void> hwpt_set_dirty_tracking(ObjectId hwpt_id, bool on);
  /// IOMMU_HWPT_GET_DIRTY_BITMAP, as ranges. Errors: ENOENT; IoPagetable::read_dirty()'s.
  Result<void> hwpt_read_dirty(ObjectId hwpt_id, const IoPagetable::DirtyRange& range,
                               iommu::DirtyTracking::Clear clear,
                               iommu::DirtyTracking::Visitor& visitor);

  /// A queue and the file through which it is read.
  struct NewQueue {
    ObjectId id;
    object::Ref<EventQueueFile> file;
  };
  /// IOMMU_FAULT_QUEUE_ALLOC. Errors: ENOSPC.
  Result<NewQueue> fault_queue_alloc();
  /// IOMMU_VEVENTQ_ALLOC. Errors: ENOENT; EEXIST the vIOMMU has one of that type; EOPNOTSUPP
  /// a vIOMMU of type TSM, which reports nothing.
  Result<NewQueue> veventq_alloc(ObjectId viommu_id, std::uint32_t type, std::uint32_t depth);
  /// The program did not get it.
  void take_back(NewQueue& queue);
  /// IOMMU_HW_QUEUE_ALLOC. Errors: ENOENT no such vIOMMU; HwQueue::create()'s.
  Result<ObjectId> hw_queue_alloc(ObjectId viommu_id, const HwQueue::Request& request);

  struct HwInfo {
    iommu::HwInfo iommu;
    std::uint64_t capabilities;  ///< IOMMU_HW_CAP_*
    std::uint8_t max_pasid_log2;
  };
  /// IOMMU_GET_HW_INFO; `type` is 0 unless the input type flag was given.
  /// Errors: ENOENT; EOPNOTSUPP a type that is not the device's IOMMU's.
  Result<HwInfo> hw_info(ObjectId dev_id, std::uint32_t type);

  struct ViommuAlloc {
    std::uint32_t flags = 0;
    std::uint32_t type = 0;  ///< of the `teeio` profile
    ObjectId dev_id = 0;
    ObjectId hwpt_id = 0;
  };
  /// IOMMU_VIOMMU_ALLOC. Errors: EOPNOTSUPP a flag, type DEFAULT, a type that
  /// the IOMMU does not have, a machine without a TSM; ENOENT; EINVAL a HWPT
  /// that is no nest parent; Iommu::make_virtual_iommu()'s.
  Result<ObjectId> viommu_alloc(const ViommuAlloc& alloc, iommu::UserData& data);
  /// IOMMU_VDEVICE_ALLOC. Errors: ENOENT an id; EINVAL device and vIOMMU are on
  /// different IOMMUs; EEXIST the device or the virtual id has one.
  Result<ObjectId> vdevice_alloc(ObjectId viommu_id, ObjectId dev_id, std::uint64_t virt_id);

  /// IOMMU_VDEVICE_TSM_OP. Errors: EOPNOTSUPP a flag; ENOENT; ENODEV the
  /// vIOMMU has no VM; EINVAL an unknown type; PciTsm::bind()'s.
  Result<void> vdevice_tsm_op(ObjectId vdevice_id, std::uint32_t type, std::uint32_t flags);
  /// IOMMU_VDEVICE_TSM_REQ. Through the guest's door
  /// (Door::kGuest) a request to lock binds first. Errors: ENOENT; EINVAL an unknown
  /// operation or architecture; Vdevice::tsm_request()'s.
  tsm::GuestOutcome vdevice_tsm_request(ObjectId vdevice_id, const tsm::GuestRequest& request);

  // For objects of this room.
  [[nodiscard]] ObjectTable& objects() { return objects_; }
  [[nodiscard]] object::Trace& trace() const { return environment_.trace; }
  /// iopt_alloc_user_pages(): a piece of the program's memory. Errors: EINVAL no
  /// length; EOVERFLOW.
  Result<PagesSlice> user_slice(mm::UserMemory& memory, std::uint64_t user_va, std::uint64_t length,
                                mm::Access access);
  /// Environment::admit().
  [[nodiscard]] Result<void> admit(Door door) const { return environment_.admit(door); }
  [[nodiscard]] const Policies& policies() const { return environment_.policies; }
  /// Whether an idevice's end destroys its vDEVICE first (VdeviceLifetime).
  [[nodiscard]] bool idevice_destroys_vdevice() const {
    schedule::consult("vdevice_lifetime");
    return policies().vdevice_lifetime == VdeviceLifetime::kIdevice &&
           !schedule::seeded("vdevice-outlives-idevice");
  }
  /// Whether a vDEVICE has a user and the wait_cnt of its idevice.
  [[nodiscard]] bool vdevice_holds_idevice() const {
    return idevice_destroys_vdevice() && !schedule::seeded("destroy-races-idevice");
  }
  /// Whether a vIOMMU holds its VM's file (VmRef), and gives it to its vDEVICEs.
  [[nodiscard]] bool viommu_holds_vm() const {
    schedule::consult("vm_ref");
    return policies().vm_ref == VmRef::kViommu;
  }
  [[nodiscard]] tsm::PciTsm* tsm() const { return environment_.tsm; }
  /// What mmap() of the file finds.
  [[nodiscard]] Mappings& mappings() { return mappings_; }
  /// A number for each change of what a device is attached to.
  [[nodiscard]] std::uint64_t next_attach_handle() { return attach_handles_.fetch_add(1) + 1; }
  [[nodiscard]] Environment& environment() const { return environment_; }
  /// iommufd_get_group().
  object::Ref<Group> group(std::uint32_t number) TEEIO_EXCLUDES(groups_lock_);
  void group_released(const Group& group) TEEIO_EXCLUDES(groups_lock_);

 private:
  explicit Context(Environment& environment);
  ~Context() override = default;
  /// iommufd_fops_release().
  void release() override;
  [[nodiscard]] mm::Charges::Mode charge_mode() const { return charge_mode_.load(); }
  Result<void> charge_current(std::span<const object::Ref<IoptPages>> all);
  Result<std::uint64_t> map_pages(Ioas& ioas, PagesSlice slice, const Map& map);

  Environment& environment_;
  ObjectTable objects_;
  Mappings mappings_;
  schedule::Atomic<std::uint64_t> attach_handles_{0};
  schedule::Mutex groups_lock_{schedule::Rank::kIommufdXarray};
  std::map<std::uint32_t, Group*> groups_ TEEIO_GUARDED_BY(groups_lock_);
  schedule::Atomic<mm::Charges::Mode> charge_mode_{mm::Charges::Mode::kUser};
};

}  // namespace teeio::iommufd
