#pragma once

#include <cstdint>

#include "base/result.h"
#include "host/iommufd/device_handle.h"
#include "host/iommufd/environment.h"
#include "host/iommufd/object.h"
#include "host/iommufd/viommu.h"
#include "host/pci_tsm/driver.h"
#include "object/ref.h"

namespace teeio::iommufd {

class Context;
class Group;
class Idevice;

/// One assigned function as the guest of a vIOMMU sees it (Linux: struct
/// iommufd_vdevice), and the place where it is bound to the VM's TSM.
///
/// Lifetime: a user of its vIOMMU. Holds users and wait_cnt of its idevice; the
/// idevice's end destroys it first (pre_destroy), except with
/// VdeviceLifetime::kIndependent, where it is left behind as before Linux 6.17.
/// A bound one is unbound before anything else of it goes.
/// Locking: igroup->lock over creation, destruction and `idevice_`.
class Vdevice final : public Object {
 public:
  static constexpr ObjectType kType = ObjectType::kVdevice;

  /// iommufd_vdevice_alloc_ioctl(), from its lock on. Takes `idevice`'s users
  /// and wait_cnt over from the caller on success. Binds, where Door::kVdevice is
  /// open. Errors: ENOENT the idevice is going; EEXIST it has a vDEVICE, or `virt_id`
  /// is taken; tsm_bind()'s.
  static Result<ObjectId> create(Context& context, Viommu& viommu, Idevice& idevice,
                                 std::uint64_t virt_id);

  /// The VM of a call that came through `door`. Errors, without one: ENOENT VFIO's
  /// door (iommufd_device_tsm_bind() of RFC 17/30), ENODEV the others; EOPNOTSUPP the vIOMMU
  /// is not of type TSM (a guess: no posting has both).
  Result<object::Ref<object::File>> required_vm(Door door) const;
  /// BIND: to that VM. Errors: required_vm()'s, PciTsm::bind()'s. Success when bound
  /// already.
  Result<void> tsm_bind(Door door);
  /// UNBIND.
  void tsm_unbind();
  /// IOMMU_VDEVICE_TSM_REQ. A request to lock an unbound TDI is Door::kGuest, if that
  /// is open: PciTsm::bind_and_request(). Errors: required_vm()'s, those of
  /// PciTsm::guest_request() and bind().
  tsm::GuestOutcome tsm_request(const tsm::GuestRequest& request);

  [[nodiscard]] Bdf bdf() const { return bdf_; }
  /// The device's side; null only with VdeviceLifetime::kIndependent.
  [[nodiscard]] Idevice* idevice() const { return idevice_; }
  [[nodiscard]] Viommu& viommu() const { return viommu_; }
  /// Null without a VM.
  [[nodiscard]] object::Ref<object::File> vm_file() const;

 private:
  friend class Idevice;
  Vdevice(Context& context, Viommu& viommu, Idevice& idevice, std::uint64_t virt_id);
  ~Vdevice() override = default;
  /// iommufd_vdevice_destroy().
  void destroy() override;
  /// iommufd_vdevice_abort(): under igroup->lock.
  void abort() override;

  /// Only machines with a TSM have vIOMMUs, and only those have vDEVICEs.
  [[nodiscard]] tsm::PciTsm& tsm() const;

  Context& context_;
  Viommu& viommu_;
  const Bdf bdf_;  ///< of a device that may be gone: VdeviceLifetime::kIndependent
  const object::Ref<Group> group_;
  Idevice* idevice_;
  const std::uint64_t virt_id_;
  bool has_virt_id_ = false;
};

}  // namespace teeio::iommufd
