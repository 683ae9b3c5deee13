// A VM belongs to the process that made it; a child that inherits it may only close.
#include <sys/wait.h>

#include "kvm.h"

namespace {

void ask(const char* who, int vm, int vcpu) {
  kvm_regs regs = {};
  probe::say_value(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY2), "%s: CHECK_EXTENSION",
                   who);
  probe::say(ioctl(vm, KVM_CREATE_VCPU, 5), "%s: CREATE_VCPU", who);
  probe::say(ioctl(vm, _IO(KVMIO, 0xff), 0), "%s: a number that nobody has", who);
  probe::say(probe::call(vcpu, KVM_GET_REGS, regs), "%s: GET_REGS", who);
  fflush(stdout);
}

}  // namespace

int main() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  const int vcpu = probe::create_vcpu(vm);
  const pid_t child = fork();
  if (child == 0) {
    ask("child", vm, vcpu);
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  ask("parent", vm, vcpu);
}
