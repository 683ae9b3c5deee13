// VM, VFIO device and iommufd closed in each of the six orders.
#include "kvm.h"

namespace {

// `order` names what is closed first, second and third: V(M), D(evice), I(ommufd).
void run(const char* order) {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  kvm_create_device create = {KVM_DEV_TYPE_VFIO, 0, 0};
  if (probe::call(vm, KVM_CREATE_DEVICE, create) != 0) probe::give_up("KVM_CREATE_DEVICE");
  const int device = probe::open_device();
  std::int32_t fd = device;
  kvm_device_attr attr = {0, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD, probe::address_of(&fd)};
  if (probe::call(static_cast<int>(create.fd), KVM_SET_DEVICE_ATTR, attr) != 0) {
    probe::give_up("FILE_ADD");
  }
  const int iommufd = probe::open_iommufd();
  std::uint32_t devid = 0;
  if (probe::bind(device, iommufd, &devid) != 0) probe::give_up("bind");
  const std::uint32_t ioas = probe::alloc_ioas(iommufd);
  if (probe::attach(device, ioas) != 0) probe::give_up("attach");

  printf("order %s\n", order);
  for (const char* next = order; *next != '\0'; ++next) {
    if (*next == 'V') {
      probe::say(close(static_cast<int>(create.fd)), "  close the VM's VFIO device");
      probe::say(close(vm), "  close the VM");
    } else if (*next == 'D') {
      probe::say(close(device), "  close the device");
    } else {
      probe::say(close(iommufd), "  close the iommufd");
    }
    vfio_device_info info = {};
    info.argsz = sizeof(info);
    probe::say(probe::call(device, VFIO_DEVICE_GET_INFO, info), "    GET_INFO");
    probe::say(probe::destroy(iommufd, devid), "    DESTROY of the device");
  }
}

}  // namespace

int main() {
  for (const char* order : {"VDI", "VID", "DVI", "DIV", "IVD", "IDV"}) run(order);
  probe::open_bound();
  puts("the device can be bound again");
}
