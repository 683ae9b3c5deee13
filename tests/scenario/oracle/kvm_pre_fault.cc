// PRE_FAULT_MEMORY: what it populates, how far it says it came.
#include "kvm.h"

namespace {

int vcpu;

void fault(const char* what, std::uint64_t gpa, std::uint64_t size, std::uint64_t flags = 0) {
  kvm_pre_fault_memory arg = {};
  arg.gpa = gpa;
  arg.size = size;
  arg.flags = flags;
  probe::say(probe::call(vcpu, KVM_PRE_FAULT_MEMORY, arg), "%s", what);
  printf("  gpa 0x%llx, size 0x%llx\n", arg.gpa, arg.size);
}

}  // namespace

int main() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  if (probe::set_slot(vm, probe::slot(0, 0x10000, 0x4000, probe::pages(4))) != 0) {
    probe::give_up("memory slot");
  }
  vcpu = probe::create_vcpu(vm);
  fault("a page", 0x10000, 0x1000);
  fault("the same page", 0x10000, 0x1000);
  fault("all of a slot", 0x10000, 0x4000);
  fault("across its end", 0x12000, 0x4000);
  fault("no memory", 0x80000, 0x1000);
  fault("size 0", 0x10000, 0);
  fault("size 100", 0x10000, 100);
  fault("gpa 100", 0x10100, 0x1000);
  fault("a flag", 0x10000, 0x1000, 1);
  fault("wraps", ~0ULL - 0xfff, 0x2000);
  kvm_pre_fault_memory arg = {};
  arg.gpa = 0x10000;
  arg.size = 0x1000;
  arg.padding[4] = 1;
  probe::say(probe::call(vcpu, KVM_PRE_FAULT_MEMORY, arg), "padding set");
  probe::say(ioctl(vcpu, KVM_PRE_FAULT_MEMORY, nullptr), "null pointer");
}
