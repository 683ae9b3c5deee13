// CREATE_DEVICE: types, the test flag, one VFIO device a VM.
#include "kvm.h"

namespace {

int vm;

int create(const char* what, std::uint32_t type, std::uint32_t flags) {
  kvm_create_device arg = {type, 12345, flags};
  const long result = probe::call(vm, KVM_CREATE_DEVICE, arg);
  probe::say(result, "%s", what);
  if (result == 0 && arg.fd == 12345) puts("  fd is not written");
  return static_cast<int>(arg.fd);
}

}  // namespace

int main() {
  vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  probe::say(ioctl(vm, KVM_CREATE_DEVICE, nullptr), "null pointer");
  create("type 0", 0, 0);
  create("type 1000", 1000, 0);
  create("XICS", KVM_DEV_TYPE_XICS, 0);
  create("XICS, test only", KVM_DEV_TYPE_XICS, KVM_CREATE_DEVICE_TEST);
  create("VFIO, test only", KVM_DEV_TYPE_VFIO, KVM_CREATE_DEVICE_TEST);
  create("VFIO with an unknown flag", KVM_DEV_TYPE_VFIO, 2);
  create("a second VFIO", KVM_DEV_TYPE_VFIO, 0);
  create("a second VFIO, test only", KVM_DEV_TYPE_VFIO, KVM_CREATE_DEVICE_TEST);

  vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  const int device = create("VFIO in another VM", KVM_DEV_TYPE_VFIO, 0);
  close(device);
  create("VFIO after close of the first", KVM_DEV_TYPE_VFIO, 0);
  probe::say(ioctl(device, KVM_RUN, 0), "RUN on a closed fd");
}
