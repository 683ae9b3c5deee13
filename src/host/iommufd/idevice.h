#pragma once

#include <cstdint>

#include "host/iommufd/device_handle.h"
#include "host/iommufd/group.h"
#include "host/iommufd/object.h"
#include "object/ref.h"

namespace teeio::iommufd {

class Context;
class Hwpt;
class HwptPaging;
class Ioas;
class Vdevice;
struct PageRequest;

/// The tie between a VFIO device and an open /dev/iommu (Linux: struct
/// iommufd_device). VFIO makes it and ends it; programs only see its id.
///
/// Lifetime: from bind() to unbind(), during which the pointer is VFIO's to use.
/// Holds the context's file, so VFIO's descriptor always goes first.
/// Locking: igroup->lock over attachment, vDEVICE and `destroying`.
class Idevice final : public Object {
 public:
  static constexpr ObjectType kType = ObjectType::kDevice;

  /// iommufd_device_bind(): takes the DMA of the device's group away from
  /// everybody else. Errors: EPERM the group belongs to another context.
  static Result<Idevice*> bind(Context& context, DeviceHandle& device, VmHandle vm);
  /// iommufd_device_unbind(): destroys the vDEVICE first, if there is one,
  /// leaving a tombstone, and with it unbinds the TSM. The pointer is dead then.
  /// Precondition: detached. Cannot fail.
  void unbind();

  /// iommufd_device_attach(): to an IOAS (through an automatic HWPT) or a HWPT.
  /// Gives the HWPT's id. Errors: ENOENT no such id; EINVAL an id of another
  /// type, the group has another HWPT, or a PASID meets a HWPT that was not made for
  /// PASIDs; EBUSY attached already (EADDRINUSE when a mapping lies in the device's
  /// reserved range; ENOMEM); Iommu::attach()'s and attach_pasid()'s.
  Result<ObjectId> attach(ObjectId pt_id, std::uint32_t pasid = kNoPasid);
  /// iommufd_device_replace(): another one, without a gap in translation.
  /// Errors: as attach(), and EINVAL not attached; the old one stays.
  Result<ObjectId> replace(ObjectId pt_id, std::uint32_t pasid = kNoPasid);
  /// iommufd_device_detach(): DMA is blocked. Nothing happens when nothing is attached.
  void detach(std::uint32_t pasid = kNoPasid);
  /// iommu_report_device_fault() of a whole group of page requests: they go to the fault
  /// queue of the HWPT that their PASID uses, if any. False: the IOMMU answers them as
  /// invalid.
  bool report_page_request(const PageRequest& request);

  /// iommufd_device_tsm_bind() of the 2025 RFC, VFIO's door. Errors: ENOENT no
  /// such vDEVICE, or it has no VM; EINVAL it is another device's; EEXIST bound
  /// through this door already; PciTsm::bind()'s.
  Result<void> tsm_bind(ObjectId vdevice_id);
  /// iommufd_device_tsm_unbind(): nothing happens when not bound by tsm_bind().
  void tsm_unbind();

  [[nodiscard]] DeviceHandle& device() const { return device_; }
  [[nodiscard]] Bdf bdf() const { return device_.bdf(); }
  [[nodiscard]] VmHandle vm() const { return vm_; }
  [[nodiscard]] Context& context() const { return context_; }
  [[nodiscard]] Group& group() const { return *group_; }

 private:
  friend class Vdevice;
  Idevice(Context& context, DeviceHandle& device, VmHandle vm);
  ~Idevice() override;
  void pre_destroy() override;
  void destroy() override;

  Result<void> claim();
  void remove_vdevice();
  enum class Change : std::uint8_t { kAttach, kReplace };
  Result<ObjectId> change_pt(ObjectId pt_id, std::uint32_t pasid, Change change);
  /// What a change of page tables leaves for the caller to put, once unlocked.
  struct Changed {
    ObjectId hwpt_id;
    Hwpt* old;  ///< null after an attach
  };
  Result<Changed> change_to_ioas(Ioas& ioas, std::uint32_t pasid, Change change);
  Result<Changed> change_to_hwpt(Hwpt& hwpt, std::uint32_t pasid, Change change);
  Result<void> do_attach(Hwpt& hwpt, std::uint32_t pasid);
  Result<Hwpt*> do_replace(Hwpt& hwpt, std::uint32_t pasid);
  Result<void> check_pasid(const Hwpt& hwpt, std::uint32_t pasid) TEEIO_REQUIRES(group_->lock);
  Result<void> attach_group(Hwpt& hwpt, std::uint32_t pasid) TEEIO_REQUIRES(group_->lock);
  Result<void> reserve_for_members(HwptPaging& hwpt) TEEIO_REQUIRES(group_->lock);
  void unreserve_for_members(HwptPaging& hwpt) TEEIO_REQUIRES(group_->lock);
  void put_hwpt(Hwpt& hwpt);

  Context& context_;
  DeviceHandle& device_;
  const VmHandle vm_;
  object::Ref<Group> group_;                ///< null until the group was claimed
  object::Ref<object::File> context_file_;  ///< likewise
  Vdevice* vdevice_ TEEIO_GUARDED_BY(group_->lock) = nullptr;
  bool destroying_ TEEIO_GUARDED_BY(group_->lock) = false;
  Vdevice* tsm_vdevice_ TEEIO_GUARDED_BY(group_->lock) = nullptr;  ///< bound through VFIO
};

}  // namespace teeio::iommufd
