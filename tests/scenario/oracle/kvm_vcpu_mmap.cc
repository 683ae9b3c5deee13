// The vCPU's shared pages.
#include "kvm.h"

namespace {

void map(int vcpu, const char* what, std::size_t pages, off_t offset, int flags = MAP_SHARED,
         int prot = PROT_READ | PROT_WRITE) {
  void* memory = mmap(nullptr, pages * probe::kPage, prot, flags, vcpu, offset);
  probe::say(memory == MAP_FAILED ? -1 : 0, "%s", what);
}

}  // namespace

int main() {
  const int vcpu = probe::create_vcpu(probe::create_vm(KVM_X86_DEFAULT_VM));
  map(vcpu, "one page", 1, 0);
  map(vcpu, "three pages", 3, 0);
  map(vcpu, "four pages", 4, 0);
  map(vcpu, "private", 1, 0, MAP_PRIVATE);
  map(vcpu, "read only", 1, 0, MAP_SHARED, PROT_READ);
  map(vcpu, "executable", 1, 0, MAP_SHARED, PROT_READ | PROT_EXEC);
  map(vcpu, "from the second page", 1, probe::kPage);
  map(vcpu, "from the hundredth page", 1, 100 * probe::kPage);

  void* memory = mmap(nullptr, probe::kPage, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  auto* run = static_cast<kvm_run*>(memory);
  probe::say_value(run->exit_reason, "exit_reason before the first run");
  probe::say_value(run->immediate_exit, "immediate_exit before the first run");
  run->immediate_exit = 1;
  probe::say(ioctl(vcpu, KVM_RUN, 0), "RUN with immediate_exit");
  probe::say_value(run->exit_reason, "exit_reason");
  probe::say(ioctl(vcpu, KVM_RUN, 1), "RUN with an argument");
}
