// A VM whose fd is closed before its vCPU and its guest_memfd.
#include "kvm.h"

int main() {
  const int vm = probe::create_vm(KVM_X86_SW_PROTECTED_VM);
  const int vcpu = probe::create_vcpu(vm);
  const int memory = probe::create_guest_memfd(vm, 0x4000);
  kvm_userspace_memory_region2 arg = probe::slot(0, 0, 0x4000, probe::pages(4));
  arg.flags = KVM_MEM_GUEST_MEMFD;
  arg.guest_memfd = static_cast<std::uint32_t>(memory);
  probe::say(probe::set_slot(vm, arg), "a slot");
  probe::say(close(vm), "close the VM");
  kvm_regs regs = {};
  probe::say(probe::call(vcpu, KVM_GET_REGS, regs), "GET_REGS");
  probe::say(fallocate(memory, 1, 0, 0x1000), "fallocate the guest_memfd");
  probe::say(close(vcpu), "close the vCPU");
  probe::say(fallocate(memory, 1, 0x1000, 0x1000), "fallocate the guest_memfd");
  const int other = probe::create_vm(KVM_X86_SW_PROTECTED_VM);
  probe::say(probe::set_slot(other, arg), "its slot in another VM");
  probe::say(close(memory), "close the guest_memfd");
}
