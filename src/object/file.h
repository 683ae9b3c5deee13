#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "object/event.h"
#include "object/ref.h"

namespace teeio::object {

/// Which operations an open file has (Linux: which file_operations).
enum class FileKind : std::uint8_t {
  kIommu,          ///< /dev/iommu
  kVfioDevice,     ///< /dev/vfio/devices/vfioN, or from a group
  kVfioGroup,      ///< /dev/vfio/N
  kVfioContainer,  ///< /dev/vfio/vfio
  kKvm,            ///< /dev/kvm
  kKvmVm,
  kKvmVcpu,
  kKvmVfioDevice,  ///< KVM_CREATE_DEVICE(KVM_DEV_TYPE_VFIO)
  kGuestMemfd,
  kDmaBuf,
  kAttribute,        ///< an opened sysfs attribute
  kVendorNode,       ///< a node of /dev of the platform's vendor
  kForeign,          ///< a number of the program that is not ours (pipe, regular file …)
  kIommuFaults,      ///< IOMMU_FAULT_QUEUE_ALLOC
  kIommuEvents,      ///< IOMMU_VEVENTQ_ALLOC
  kIommuTestAccess,  ///< IOMMU_TEST_OP_CREATE_ACCESS
};
[[nodiscard]] std::string_view file_kind_name(FileKind kind);

/// An open file, apart from the numbers under which programs hold it (Linux:
/// struct file).
///
/// Lifetime: counted. The set of a program's descriptors holds one reference,
/// dropped after the last of them and the last mapping are gone; the kernel
/// side may hold more (KVM_DEV_VFIO_FILE_ADD). After the last, release() runs
/// once: at once, or at the end of the running system call if a DelayedPuts
/// scope is open, as Linux's __fput() runs from task work. It never runs under
/// the locks of the call that dropped the reference.
class File : public Counted {
 public:
  [[nodiscard]] FileKind kind() const { return kind_; }

 protected:
  explicit File(FileKind kind) : kind_(kind) {}
  /// f_op->release(): gives everything back. Cannot fail.
  virtual void release() = 0;
  void last_put() final;

 private:
  friend class DelayedPuts;
  const FileKind kind_;
};

/// One system call's scope: files whose last reference goes inside it are
/// released at its end. Scopes nest; the outermost one releases, in the lane of
/// who dropped the reference.
class DelayedPuts {
 public:
  DelayedPuts();
  ~DelayedPuts();
  DelayedPuts(const DelayedPuts&) = delete;
  DelayedPuts& operator=(const DelayedPuts&) = delete;

 private:
  friend class File;
  struct Put {
    File* file;
    Lane lane;  ///< who dropped it
  };
  static void finish(File* file);
  DelayedPuts* const outer_;
  std::vector<Put> files_;
};

}  // namespace teeio::object
