// GET_SREGS after reset, and what SET_SREGS refuses.
#include "kvm.h"

namespace {

int vcpu;
kvm_sregs reset;

template <class Change>
void set(const char* what, Change change) {
  kvm_sregs sregs = reset;
  change(sregs);
  probe::say(probe::call(vcpu, KVM_SET_SREGS, sregs), "%s", what);
  probe::call(vcpu, KVM_SET_SREGS, reset);
}

}  // namespace

int main() {
  vcpu = probe::create_vcpu(probe::create_vm(KVM_X86_DEFAULT_VM));
  probe::say(probe::call(vcpu, KVM_GET_SREGS, reset), "GET_SREGS");
  printf("  cs %x base 0x%llx limit 0x%x, cr0 0x%llx, cr4 0x%llx, efer 0x%llx\n", reset.cs.selector,
         reset.cs.base, reset.cs.limit, reset.cr0, reset.cr4, reset.efer);
  printf("  ds %x base 0x%llx, gdt limit 0x%x\n", reset.ds.selector, reset.ds.base,
         reset.gdt.limit);

  set("as it is", [](kvm_sregs&) {});
  set("protected mode", [](kvm_sregs& s) { s.cr0 |= 1; });
  set("paging without protected mode", [](kvm_sregs& s) { s.cr0 |= 1ULL << 31; });
  set("not-write-through without cache disable",
      [](kvm_sregs& s) { s.cr0 = (s.cr0 & ~(1ULL << 30)) | (1ULL << 29); });
  set("an upper bit of cr0", [](kvm_sregs& s) { s.cr0 |= 1ULL << 40; });
  set("an unknown bit of cr4", [](kvm_sregs& s) { s.cr4 |= 1ULL << 31; });
  set("an unknown bit of efer", [](kvm_sregs& s) { s.efer |= 1ULL << 40; });
  set("long mode active without paging", [](kvm_sregs& s) { s.efer |= 1ULL << 10; });
  set("two pending interrupts", [](kvm_sregs& s) { s.interrupt_bitmap[0] = 3; });
  set("cr8 of 16", [](kvm_sregs& s) { s.cr8 = 16; });
  probe::say(ioctl(vcpu, KVM_SET_SREGS, nullptr), "null pointer");
}
