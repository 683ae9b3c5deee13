#pragma once

#include <cstdint>
#include <map>

#include "base/result.h"
#include "host/iommufd/device_handle.h"
#include "host/iommufd/hwpt.h"
#include "host/iommufd/object.h"
#include "object/file.h"
#include "object/ref.h"

namespace teeio::iommufd {

class Context;
class Idevice;
class Vdevice;

/// A slice of an IOMMU for one VM (Linux: struct iommufd_viommu). Confidential
/// DMA of the VM's devices is translated by the trusted side on its behalf.
///
/// Lifetime: a user of its nest parent HWPT; each vDEVICE is a user of it. With
/// VmRef::kViommu it holds the VM file, and so does the final put of the VM.
class Viommu final : public Object {
 public:
  static constexpr ObjectType kType = ObjectType::kViommu;
  static constexpr std::uint32_t kTypeDefault = 0;
  /// IOMMU_VIOMMU_TYPE_TSM of the `teeio` profile; entry/ translates others.
  static constexpr std::uint32_t kTypeTsm = 3;

  /// The last part of iommufd_viommu_alloc_ioctl(): makes it on `idevice`'s
  /// IOMMU and takes the VM that the device is associated with, if any. Not
  /// finalized. Errors: ENOSPC.
  static Result<NewObject<Viommu>> create(Context& context, Idevice& idevice, HwptPaging& hwpt);

  /// The VM file to bind `vdevice`'s function to, or null without a VM.
  [[nodiscard]] object::Ref<object::File> vm_file() const { return vm_file_; }
  [[nodiscard]] const iommu::Iommu& iommu() const { return iommu_; }

  /// Makes `virt_id` taken (xa_insert() of an entry that reads as nothing).
  /// Errors: EEXIST.
  Result<void> reserve_virt_id(std::uint64_t virt_id) TEEIO_EXCLUDES(vdevs_lock_);
  void set_vdevice(std::uint64_t virt_id, Vdevice* vdevice) TEEIO_EXCLUDES(vdevs_lock_);
  void release_virt_id(std::uint64_t virt_id) TEEIO_EXCLUDES(vdevs_lock_);

 private:
  Viommu(Context& context, Idevice& idevice, HwptPaging& hwpt);
  ~Viommu() override = default;
  /// iommufd_viommu_destroy().
  void destroy() override;

  Context& context_;
  const iommu::Iommu& iommu_;
  HwptPaging& hwpt_;
  object::Ref<object::File> vm_file_;
  bool created_ = false;  ///< kViommuCreated was said
  schedule::Mutex vdevs_lock_{schedule::Rank::kViommuVdevs};
  std::map<std::uint64_t, Vdevice*> vdevs_ TEEIO_GUARDED_BY(vdevs_lock_);
};

}  // namespace teeio::iommufd
