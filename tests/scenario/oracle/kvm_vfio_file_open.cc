// A device fd that only the VM still holds.
#include "kvm.h"

int main() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  kvm_create_device create = {KVM_DEV_TYPE_VFIO, 0, 0};
  if (probe::call(vm, KVM_CREATE_DEVICE, create) != 0) probe::give_up("KVM_CREATE_DEVICE");
  const int kvm_device = static_cast<int>(create.fd);
  const int iommufd = probe::open_iommufd();
  std::int32_t device = probe::open_device();
  kvm_device_attr attr = {0, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD, probe::address_of(&device)};
  probe::say(probe::call(kvm_device, KVM_SET_DEVICE_ATTR, attr), "FILE_ADD");
  std::uint32_t devid = 0;
  probe::say(probe::bind(device, iommufd, &devid), "bind");
  probe::say(close(device), "close the only fd of the device");
  probe::say(probe::destroy(iommufd, devid), "  DESTROY the device");
  const int again = probe::open_device();
  probe::say(probe::bind(again, probe::open_iommufd(), nullptr), "  open and bind it again");
  probe::say(close(vm), "close the VM, its VFIO device stays");
  probe::say(probe::destroy(iommufd, devid), "  DESTROY the device");
  probe::say(close(kvm_device), "close the VM's VFIO device");
  probe::say(probe::destroy(iommufd, devid), "  DESTROY the device");
  probe::say(probe::bind(again, probe::open_iommufd(), nullptr), "  bind it again");
}
