#include "host/vfio/group.h"

#include "base/check.h"
#include "host/iommufd/vfio_compat.h"
#include "host/kvm/vm_file.h"
#include "host/vfio/device.h"

namespace teeio::vfio {

Result<object::Ref<object::File>> Group::open(object::Ref<Group> group) {
  Group& opened = *group;
  const schedule::Lock lock(opened.lock_);
  if (opened.revoked_) return fail(Errno::kNoDev, "no function of the group is on vfio-pci");
  if (opened.cdev_opens_ != 0)
    return fail(Errno::kBusy, "a function of the group is open through its node");
  if (opened.opened_ != nullptr) return fail(Errno::kBusy, "the group is open already");
  // Not before: the release of such a file gives back what the group has.
  auto file = object::make_ref<GroupFile>(std::move(group));
  opened.opened_ = file.get();
  return object::Ref<object::File>(std::move(file));
}

void Group::revoke() {
  const schedule::Lock lock(lock_);
  revoked_ = true;
  if (container_ && container_users_ == 1) detach_container();
}

void Group::closed() {
  const schedule::Lock lock(lock_);
  if (container_) detach_container();
  iommufd_.reset();
  opened_ = nullptr;
}

bool Group::has_iommu() const {
  return static_cast<bool>(container_) || static_cast<bool>(iommufd_);
}

void Group::detach_container() {
  TEEIO_CHECK(container_users_ == 1, "a group leaves its container while a device is open");
  container_->detach(*this);
  container_users_ = 0;
  container_.reset();
}

Result<void> Group::set_container(object::Ref<object::File> file) {
  const schedule::Lock lock(lock_);
  if (has_iommu()) return fail(Errno::kInval, "the group has a container already");
  if (revoked_) return fail(Errno::kNoDev, "no function of the group is on vfio-pci");
  if (file->kind() == object::FileKind::kVfioContainer) {
    Container& container = static_cast<ContainerFile&>(*file).container();
    TEEIO_TRY(container.attach(*this));
    container_ = object::Ref<Container>::share(container);
    container_users_ = 1;
    return {};
  }
  if (file->kind() == object::FileKind::kIommu) {
    TEEIO_TRY(iommufd::VfioCompat(static_cast<iommufd::Context&>(*file)).create());
    iommufd_ = std::move(file);
    return {};
  }
  return fail(Errno::kBadFd, "the descriptor is no container and no iommufd");
}

Result<void> Group::unset_container() {
  const schedule::Lock lock(lock_);
  if (!has_iommu()) return fail(Errno::kInval, "the group has no container");
  if (container_) {
    if (container_users_ != 1) return fail(Errno::kBusy, "a device of the group is open");
    detach_container();
  }
  iommufd_.reset();
  return {};
}

Result<Group::Status> Group::status() {
  const schedule::Lock lock(lock_);
  if (revoked_) return fail(Errno::kNoDev, "no function of the group is on vfio-pci");
  if (has_iommu()) return Status{.viable = true, .container_set = true};
  return Status{.viable = !iommu().dma_owner_claimed(number()), .container_set = false};
}

Result<void> Group::block() {
  const schedule::Lock lock(lock_);
  if (opened_ != nullptr) return fail(Errno::kBusy, "the device's group is open");
  ++cdev_opens_;
  return {};
}

void Group::unblock() {
  const schedule::Lock lock(lock_);
  TEEIO_CHECK(cdev_opens_ != 0, "a group is unblocked that nobody blocked");
  --cdev_opens_;
}

Result<void> Group::use_container() {
  if (!container_ || !container_->has_iommu())
    return fail(Errno::kInval, "the group's container has no IOMMU yet");
  TEEIO_CHECK(opened_ != nullptr, "a group in a container has no open file");
  opened_->add_ref();
  ++container_users_;
  return {};
}

void Group::unuse_container() {
  TEEIO_CHECK(container_users_ > 1, "a group's container is used by nobody");
  --container_users_;
  opened_->drop_ref();
}

/// vfio_device_get_from_name().
Result<Device*> Group::find(std::string_view name) {
  for (const Bus::Neighbour& member : wiring_.bus.in_group(number())) {
    if (member.device == nullptr || &member.device->group() != this) continue;
    // vfio_device_group_unregister() has taken one that leaves off the list.
    if (!member.device->get_registration()) continue;
    const auto matches = member.device->match(name);
    if (matches && *matches) return member.device;
    member.device->put_registration();
    TEEIO_TRY(matches);
  }
  return fail(Errno::kNoDev, "the group has no such device");
}

Result<object::Ref<object::File>> Group::device(std::string_view name) {
  TEEIO_ASSIGN(Device* const device, find(name));
  if (auto opened = open_device(*device); !opened) {
    device->put_registration();
    return std::unexpected(opened.error());
  }
  return object::Ref<object::File>(
      object::make_ref<DeviceFile>(*device, object::Ref<Group>::share(*this)));
}

object::Ref<object::File> Group::vm_file() {
  const schedule::Lock lock(kvm_ref_lock_);
  return vm_ != nullptr ? vm_->active_file() : object::Ref<object::File>();
}

Result<void> Group::open_device(Device& device) {
  const schedule::Lock lock(lock_);
  if (!has_iommu()) return fail(Errno::kInval, "the group has no container");
  const schedule::Lock set_lock(device.set().lock);
  return device.open_in_group(*this, static_cast<iommufd::Context*>(iommufd_.get()), vm_file());
}

void Group::close_device(Device& device) {
  const schedule::Lock lock(lock_);
  const schedule::Lock set_lock(device.set().lock);
  device.close_in_group(*this);
}

void Group::set_vm(kvm::Vm* vm) {
  const schedule::Lock lock(kvm_ref_lock_);
  vm_ = vm;
}

void GroupFile::release() {
  auto call = group_->trace().call(object::Lane::kVfio, "group release");
  group_->closed();
  group_.reset();
}

}  // namespace teeio::vfio
