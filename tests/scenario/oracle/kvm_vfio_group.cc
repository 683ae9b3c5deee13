// KVM's VFIO device takes groups, under the older names too.
#include "group.h"
#include "kvm.h"

namespace {

int vfio;

long attribute(std::uint64_t attr, int fd) {
  kvm_device_attr arg = {0, KVM_DEV_VFIO_GROUP, attr, probe::address_of(&fd)};
  return probe::call(vfio, KVM_SET_DEVICE_ATTR, arg);
}

}  // namespace

int main() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  kvm_create_device create = {KVM_DEV_TYPE_VFIO, 0, 0};
  if (probe::call(vm, KVM_CREATE_DEVICE, create) != 0) probe::give_up("KVM_CREATE_DEVICE");
  vfio = static_cast<int>(create.fd);
  const probe::Contained both = probe::contained(VFIO_TYPE1v2_IOMMU);
  probe::say(attribute(KVM_DEV_VFIO_GROUP_ADD, both.container), "add the container");
  probe::say(attribute(KVM_DEV_VFIO_GROUP_DEL, both.group), "delete a group that was not added");
  probe::say(attribute(KVM_DEV_VFIO_GROUP_ADD, both.group), "add the group");
  probe::say(attribute(KVM_DEV_VFIO_GROUP_ADD, both.group), "add it again");
  const int device = static_cast<int>(probe::device_fd(both.group, probe::device_name()));
  probe::say(attribute(KVM_DEV_VFIO_FILE_ADD, device), "add its device");
  probe::say(attribute(KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE, both.group), "SPAPR_TCE");
  close(both.group);
  close(both.container);
  close(device);
  probe::say(open(probe::group_path(), O_RDWR), "open the group, which KVM has");
  probe::say(attribute(KVM_DEV_VFIO_FILE_DEL, device), "delete the device, closed");
  close(vfio);
  probe::say(open(probe::group_path(), O_RDWR), "open the group, KVM's device is closed");
}
