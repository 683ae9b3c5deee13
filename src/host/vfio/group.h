#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "host/iommu/iommu.h"
#include "host/kvm/vfio_device.h"
#include "host/vfio/container.h"
#include "object/file.h"
#include "object/ref.h"
#include "object/trace.h"
#include "schedule/mutex.h"

namespace teeio::vfio {

class Bus;
class Device;
class GroupFile;

/// The functions of one IOMMU group that VFIO has (Linux: struct vfio_group).
/// Source: Linux drivers/vfio/group.c; each method names its function.
///
/// Lifetime: counted. Made with the first function of an IOMMU group, revoked with its last,
/// when a later one gets a new Group; devices and the open file keep it.
/// Locking: group->group_lock, taken before dev_set->lock.
class Group final : public object::Counted {
 public:
  struct Wiring {
    std::uint32_t number;  ///< of the IOMMU group
    iommu::Iommu& iommu;
    Bus& bus;
    object::Trace& trace;
  };
  explicit Group(const Wiring& wiring) : wiring_(wiring) {}

  [[nodiscard]] std::uint32_t number() const { return wiring_.number; }
  [[nodiscard]] iommu::Iommu& iommu() const { return wiring_.iommu; }
  [[nodiscard]] object::Trace& trace() const { return wiring_.trace; }

  /// vfio_group_fops_open(). Errors: ENODEV the last function has left; EBUSY it is open, or
  /// a function of it is in use through its node.
  static Result<object::Ref<object::File>> open(object::Ref<Group> group);
  /// vfio_device_remove_group(), for the last function: nothing can use the IOMMU group from
  /// here on. Devices that are open keep their container until the group's file is closed.
  void revoke() TEEIO_EXCLUDES(lock_);

  /// VFIO_GROUP_SET_CONTAINER with a container, or with an iommufd. Errors: EINVAL it has one;
  /// ENODEV revoked; EBADFD another kind of file; Container::attach()'s.
  Result<void> set_container(object::Ref<object::File> file) TEEIO_EXCLUDES(lock_);
  /// VFIO_GROUP_UNSET_CONTAINER. Errors: EINVAL there is none; EBUSY a device is open.
  Result<void> unset_container() TEEIO_EXCLUDES(lock_);
  struct Status {
    bool viable;
    bool container_set;
  };
  /// VFIO_GROUP_GET_STATUS. Errors: ENODEV revoked.
  Result<Status> status() TEEIO_EXCLUDES(lock_);
  /// VFIO_GROUP_GET_DEVICE_FD: `name` is the function's, with its VF token if it needs one.
  /// Errors: ENODEV no such function; EINVAL an option that there is not, or no container or
  /// one without IOMMU; Device::match_token()'s; those of iommufd's attach.
  Result<object::Ref<object::File>> device(std::string_view name) TEEIO_EXCLUDES(lock_);

  /// vfio_device_block_group(): a function is opened through its node. Errors: EBUSY the
  /// group is open.
  Result<void> block() TEEIO_EXCLUDES(lock_);
  /// vfio_device_unblock_group().
  void unblock() TEEIO_EXCLUDES(lock_);

  /// vfio_df_group_open() and vfio_df_group_close(), of a function of this group.
  Result<void> open_device(Device& device) TEEIO_EXCLUDES(lock_);
  void close_device(Device& device) TEEIO_EXCLUDES(lock_);

  /// vfio_group_set_kvm().
  void set_vm(kvm::Vm* vm) TEEIO_EXCLUDES(kvm_ref_lock_);
  /// group->group_lock.
  [[nodiscard]] schedule::Mutex& lock() TEEIO_RETURN_CAPABILITY(lock_) { return lock_; }
  /// vfio_group_use_container() and _unuse_container(): the group's file stays open.
  /// Errors: EINVAL the container has no IOMMU.
  Result<void> use_container() TEEIO_REQUIRES(lock_);
  void unuse_container() TEEIO_REQUIRES(lock_);

 private:
  friend class GroupFile;
  [[nodiscard]] bool has_iommu() const TEEIO_REQUIRES(lock_);
  void detach_container() TEEIO_REQUIRES(lock_);
  /// vfio_group_fops_release().
  void closed() TEEIO_EXCLUDES(lock_);
  [[nodiscard]] object::Ref<object::File> vm_file() TEEIO_EXCLUDES(kvm_ref_lock_);
  /// With a registration of it, which the caller puts.
  Result<Device*> find(std::string_view name);

  const Wiring wiring_;
  schedule::Mutex lock_{schedule::Rank::kVfioGroup};
  GroupFile* opened_ TEEIO_GUARDED_BY(lock_) = nullptr;
  object::Ref<Container> container_ TEEIO_GUARDED_BY(lock_);
  std::uint32_t container_users_ TEEIO_GUARDED_BY(lock_) = 0;
  object::Ref<object::File> iommufd_ TEEIO_GUARDED_BY(lock_);
  std::uint32_t cdev_opens_ TEEIO_GUARDED_BY(lock_) = 0;
  bool revoked_ TEEIO_GUARDED_BY(lock_) = false;
  schedule::Mutex kvm_ref_lock_{schedule::Rank::kVfioKvmRef};
  kvm::Vm* vm_ TEEIO_GUARDED_BY(kvm_ref_lock_) = nullptr;
};

/// An open /dev/vfio/N. Devices opened through a container keep it open.
class GroupFile final : public object::File, public kvm::VfioAssociation {
 public:
  explicit GroupFile(object::Ref<Group> group)
      : File(object::FileKind::kVfioGroup), group_(std::move(group)) {}
  [[nodiscard]] Group& group() { return *group_; }
  void set_vm(kvm::Vm* vm) override { group_->set_vm(vm); }

 private:
  void release() override;
  object::Ref<Group> group_;
};

}  // namespace teeio::vfio
