// A vCPU that starts where there is no memory.
#include "kvm.h"

int main() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  const int vcpu = probe::create_vcpu(vm);
  auto* run = static_cast<kvm_run*>(
      mmap(nullptr, probe::kPage, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0));
  probe::say(ioctl(vcpu, KVM_RUN, 0), "RUN at the reset vector, no memory");
  printf("  exit %u", run->exit_reason);
  if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR) printf(", suberror %u", run->internal.suberror);
  if (run->exit_reason == KVM_EXIT_MMIO) printf(", address 0x%llx", run->mmio.phys_addr);
  puts("");
}
