#pragma once

#include <cstdint>

#include "host/iommufd/device_handle.h"
#include "host/iommufd/group.h"
#include "host/iommufd/object.h"
#include "object/ref.h"

namespace teeio::iommufd {

class Context;
class HwptPaging;
class Ioas;
class Vdevice;

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
  /// type, or the group has another HWPT; EBUSY attached already (EADDRINUSE
  /// when a mapping lies in the device's reserved range; ENOMEM).
  Result<ObjectId> attach(ObjectId pt_id);
  /// iommufd_device_replace(): another one, without a gap in translation.
  /// Precondition: attached. Errors: as attach(); the old one stays.
  Result<ObjectId> replace(ObjectId pt_id);
  /// iommufd_device_detach(): DMA is blocked. Precondition: attached.
  void detach();

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
  friend class HwptPaging;
  Idevice(Context& context, DeviceHandle& device, VmHandle vm);
  ~Idevice() override;
  void pre_destroy() override;
  void destroy() override;

  Result<void> claim();
  void remove_vdevice();
  enum class Change : std::uint8_t { kAttach, kReplace };
  Result<ObjectId> change_pt(ObjectId pt_id, Change change);
  /// What a change of page tables leaves for the caller to put, once unlocked.
  struct Changed {
    ObjectId hwpt_id;
    HwptPaging* old;  ///< null after an attach
  };
  Result<Changed> change_to_ioas(Ioas& ioas, Change change);
  Result<Changed> change_to_hwpt(HwptPaging& hwpt, Change change);
  Result<void> do_attach(HwptPaging& hwpt);
  Result<HwptPaging*> do_replace(HwptPaging& hwpt);
  Result<void> reserve_for_members(HwptPaging& hwpt) TEEIO_REQUIRES(group_->lock);
  void unreserve_for_members(HwptPaging& hwpt) TEEIO_REQUIRES(group_->lock);
  void put_hwpt(HwptPaging& hwpt);

  Context& context_;
  DeviceHandle& device_;
  const VmHandle vm_;
  object::Ref<Group> group_;                ///< null until the group was claimed
  object::Ref<object::File> context_file_;  ///< likewise
  Vdevice* vdevice_ = nullptr;              ///< guarded by group_->lock
  bool destroying_ = false;                 ///< likewise
  Vdevice* tsm_vdevice_ = nullptr;          ///< bound through VFIO; likewise
};

}  // namespace teeio::iommufd
