// A VM fd: vCPUs, and calls that belong elsewhere.
#include "kvm.h"

int main() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  probe::say(ioctl(vm, KVM_CREATE_VCPU, 1), "CREATE_VCPU 1");
  probe::say(ioctl(vm, KVM_CREATE_VCPU, 1), "CREATE_VCPU 1 again");
  probe::say(ioctl(vm, KVM_CREATE_VCPU, 0), "CREATE_VCPU 0");
  probe::say(ioctl(vm, KVM_CREATE_VCPU, 1000000), "CREATE_VCPU 1000000");
  probe::say(ioctl(vm, KVM_CREATE_VCPU, -1L), "CREATE_VCPU -1");
  probe::say_value(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY2), "CHECK_EXTENSION on a VM");
  probe::say_value(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES),
                   "MEMORY_ATTRIBUTES of a default VM");
  kvm_tdx_cmd tdx = {};
  probe::say(probe::call(vm, KVM_MEMORY_ENCRYPT_OP, tdx), "MEMORY_ENCRYPT_OP on a default VM");
  probe::say(ioctl(vm, KVM_MEMORY_ENCRYPT_OP, nullptr), "MEMORY_ENCRYPT_OP, null pointer");
  probe::say(ioctl(vm, KVM_GET_API_VERSION, 0), "GET_API_VERSION");
  probe::say(ioctl(vm, KVM_CREATE_VM, 0), "CREATE_VM");
  probe::say(ioctl(vm, KVM_RUN, 0), "RUN");
  probe::say(ioctl(vm, _IO(KVMIO, 0xff), 0), "number 0xff");
  probe::say(ioctl(vm, _IOC(_IOC_WRITE, KVMIO, 0x49, 32), &tdx),
             "SET_USER_MEMORY_REGION2 of 32 bytes");
  char byte = 0;
  probe::say(read(vm, &byte, 1), "read");
  const void* map = mmap(nullptr, probe::kPage, PROT_READ, MAP_SHARED, vm, 0);
  probe::say(map == MAP_FAILED ? -1 : 0, "mmap");

  const int vcpu = probe::create_vcpu(probe::create_vm(KVM_X86_DEFAULT_VM));
  probe::say(probe::call(vcpu, KVM_MEMORY_ENCRYPT_OP, tdx), "MEMORY_ENCRYPT_OP on a vCPU");
  probe::say(ioctl(vcpu, KVM_CREATE_VCPU, 0), "CREATE_VCPU on a vCPU");
  probe::say(ioctl(vcpu, _IO(KVMIO, 0xff), 0), "number 0xff on a vCPU");
  probe::say(ioctl(vcpu, _IO('!', 0x80), 0), "another type byte on a vCPU");
}
