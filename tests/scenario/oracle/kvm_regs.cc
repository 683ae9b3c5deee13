// GET_REGS and SET_REGS.
#include "kvm.h"

int main() {
  const int vcpu = probe::create_vcpu(probe::create_vm(KVM_X86_DEFAULT_VM));
  kvm_regs regs = {};
  probe::say(probe::call(vcpu, KVM_GET_REGS, regs), "GET_REGS");
  printf("  rip 0x%llx, rflags 0x%llx, rax 0x%llx, rsp 0x%llx\n", regs.rip, regs.rflags, regs.rax,
         regs.rsp);
  regs.rax = 0x1122334455667788;
  regs.r15 = ~0ULL;
  regs.rip = 0xffffffff80000000;
  regs.rflags = 0;
  probe::say(probe::call(vcpu, KVM_SET_REGS, regs), "SET_REGS");
  memset(&regs, 0, sizeof(regs));
  probe::say(probe::call(vcpu, KVM_GET_REGS, regs), "GET_REGS");
  printf("  rip 0x%llx, rflags 0x%llx, rax 0x%llx, r15 0x%llx\n", regs.rip, regs.rflags, regs.rax,
         regs.r15);
  regs.rflags = ~0ULL;
  probe::say(probe::call(vcpu, KVM_SET_REGS, regs), "SET_REGS, all flags");
  probe::say(ioctl(vcpu, KVM_SET_REGS, nullptr), "SET_REGS, null pointer");
  probe::say(ioctl(vcpu, KVM_GET_REGS, nullptr), "GET_REGS, null pointer");
  probe::say(ioctl(vcpu, _IOC(_IOC_READ, KVMIO, 0x81, 16), &regs), "GET_REGS of 16 bytes");
}
