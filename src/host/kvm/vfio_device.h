#pragma once

#include <vector>

#include "base/result.h"
#include "host/kvm/vm_file.h"
#include "host/mm/caller.h"
#include "object/file.h"
#include "schedule/mutex.h"

namespace teeio::kvm {

/// What KVM wants of a VFIO file (Linux: vfio_file_set_kvm() and friends).
class VfioAssociation {
 public:
  virtual ~VfioAssociation() = default;
  /// The VM that the device is associated with; null: no longer.
  virtual void set_vm(Vm* vm) = 0;
};

/// The KVM device by which a VMM tells KVM of its VFIO files: devices, or groups, whose
/// older calls (KVM_DEV_VFIO_GROUP_ADD, _DEL) have the same numbers.
/// Source: Linux virt/kvm/vfio.c.
///
/// Lifetime: an open file; holds the VM, and each added VFIO file until it is
/// deleted or the device is released. FILE_ADD therefore keeps a VFIO file open
/// after the program has closed it. Of a VM of the host's own KVM it holds the file that
/// stands for it, whose last user it may be.
class VfioDevice final : public object::File {
 public:
  /// KVM_CREATE_DEVICE. Errors: EBUSY when the VM has one.
  static Result<object::Ref<object::File>> create(VmFile& file);
  /// Errors: EBADF; EINVAL no VFIO file; EEXIST (kvm_vfio_file_add()).
  Result<void> add(mm::Caller& caller, std::int32_t fd) TEEIO_EXCLUDES(lock_);
  /// Errors: EBADF; ENOENT (kvm_vfio_file_del()).
  Result<void> remove(mm::Caller& caller, std::int32_t fd) TEEIO_EXCLUDES(lock_);
  [[nodiscard]] Vm& vm() { return *vm_; }

 private:
  explicit VfioDevice(VmFile& file)
      : File(object::FileKind::kKvmVfioDevice), vm_(object::Ref<Vm>::share(file.vm())) {
    if (file.host_vm()) host_vm_ = object::Ref<VmFile>::share(file);
  }
  void release() override;

  object::Ref<Vm> vm_;
  object::Ref<VmFile> host_vm_;  ///< null for a VM of this KVM
  schedule::Mutex lock_{schedule::Rank::kKvmDeviceVfio};
  std::vector<object::Ref<object::File>> files_ TEEIO_GUARDED_BY(lock_);
};

}  // namespace teeio::kvm
