#pragma once

#include <cstdint>

#include "base/result.h"
#include "host/iommufd/device_handle.h"
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
  /// and wait_cnt over from the caller on success. Errors: ENOENT the idevice
  /// is going; EEXIST it has a vDEVICE, or `virt_id` is taken.
  static Result<ObjectId> create(Context& context, Viommu& viommu, Idevice& idevice,
                                 std::uint64_t virt_id);

  /// IOMMU_VDEVICE_TSM_OP, BIND: to the vIOMMU's VM. Errors: ENODEV it has
  /// none; EINVAL no TSM; PciTsm::bind()'s. Success when bound already.
  Result<void> tsm_bind();
  /// UNBIND: always succeeds with a VM. Errors: ENODEV.
  Result<void> tsm_unbind();
  /// IOMMU_VDEVICE_TSM_REQ: PciTsm::guest_request().
  Result<tsm::GuestResponse> tsm_request(const tsm::GuestRequest& request, std::uint64_t& code);

  [[nodiscard]] Bdf bdf() const { return device_.bdf(); }
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

  Context& context_;
  Viommu& viommu_;
  DeviceHandle& device_;
  const object::Ref<Group> group_;
  Idevice* idevice_;
  const std::uint64_t virt_id_;
  bool has_virt_id_ = false;
};

}  // namespace teeio::iommufd
