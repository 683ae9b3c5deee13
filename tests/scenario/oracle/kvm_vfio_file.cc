// The VFIO device of a VM: which files it takes.
#include "kvm.h"

namespace {

int device;

long attr(unsigned long request, std::uint32_t group, std::uint64_t which, const void* pointer) {
  kvm_device_attr arg = {0, group, which, probe::address_of(pointer)};
  return probe::call(device, request, arg);
}

long add(std::int32_t fd) { return attr(KVM_SET_DEVICE_ATTR, 1, KVM_DEV_VFIO_FILE_ADD, &fd); }
long del(std::int32_t fd) { return attr(KVM_SET_DEVICE_ATTR, 1, KVM_DEV_VFIO_FILE_DEL, &fd); }

}  // namespace

int main() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  kvm_create_device create = {KVM_DEV_TYPE_VFIO, 0, 0};
  if (probe::call(vm, KVM_CREATE_DEVICE, create) != 0) probe::give_up("KVM_CREATE_DEVICE");
  device = static_cast<int>(create.fd);
  const int vfio = probe::open_device();

  for (const std::uint32_t which : {0U, 1U, 2U, 3U, 4U}) {
    probe::say(attr(KVM_HAS_DEVICE_ATTR, 1, which, nullptr), "HAS attribute %u", which);
  }
  probe::say(attr(KVM_HAS_DEVICE_ATTR, 2, 1, nullptr), "HAS attribute 1 of group 2");
  probe::say(attr(KVM_GET_DEVICE_ATTR, 1, 1, &vfio), "GET attribute 1");
  probe::say(attr(KVM_SET_DEVICE_ATTR, 2, 1, &vfio), "SET attribute 1 of group 2");
  probe::say(attr(KVM_SET_DEVICE_ATTR, 1, 9, &vfio), "SET attribute 9");
  probe::say(attr(KVM_SET_DEVICE_ATTR, 1, 1, nullptr), "ADD, null pointer");
  probe::say(ioctl(device, KVM_SET_DEVICE_ATTR, nullptr), "SET, null struct");
  probe::say(ioctl(device, KVM_RUN, 0), "RUN");

  probe::say(add(-1), "ADD -1");
  probe::say(add(1000), "ADD a number that is not open");
  probe::say(add(vm), "ADD the VM");
  probe::say(add(probe::open_iommufd()), "ADD an iommufd");
  probe::say(del(vfio), "DEL before ADD");
  probe::say(add(vfio), "ADD a VFIO device that is not bound");
  probe::say(add(vfio), "ADD it again");
  probe::say(add(dup(vfio)), "ADD a duplicate of it");
  probe::say(del(dup(vfio)), "DEL by a duplicate");
  probe::say(del(vfio), "DEL again");
  probe::say(del(-1), "DEL -1");
  probe::say(probe::bind(vfio, probe::open_iommufd(), nullptr), "bind it");
  probe::say(add(vfio), "ADD it now");

  const int second = probe::open_device();
  probe::say(add(second), "ADD a second file of the same device");
}
