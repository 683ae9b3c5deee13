// A guest that never exits, and a signal.
#include <signal.h>
#include <sys/time.h>

#include "kvm.h"

namespace {

constexpr std::uint8_t kCode[] = {0xeb, 0xfe};  // jmp .

void on_alarm(int) {}

}  // namespace

int main() {
  const probe::Guest guest = probe::start_guest(KVM_X86_DEFAULT_VM, kCode, sizeof(kCode));
  struct sigaction action = {};
  action.sa_handler = on_alarm;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  const itimerval timer = {{0, 20000}, {0, 20000}};  // until one meets the guest
  setitimer(ITIMER_REAL, &timer, nullptr);
  probe::say(ioctl(guest.vcpu, KVM_RUN, 0), "RUN until SIGALRM, whose action has SA_RESTART");
  probe::say_value(guest.run->exit_reason, "exit_reason");
  kvm_regs regs = {};
  probe::say(probe::call(guest.vcpu, KVM_GET_REGS, regs), "GET_REGS");
  printf("  rip 0x%llx\n", regs.rip);
}
