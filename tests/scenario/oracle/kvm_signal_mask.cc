// KVM_SET_SIGNAL_MASK: what ends KVM_RUN is what that mask lets through.
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "kvm.h"

namespace {

constexpr std::uint8_t kCode[] = {0xeb, 0xfe};  // jmp .

struct Mask {
  std::uint32_t length = 8;
  std::uint8_t signals[8] = {};
} __attribute__((packed));

int handled;

void on_signal(int) { ++handled; }

Mask mask_of(std::uint64_t signals) {
  Mask mask;
  memcpy(mask.signals, &signals, sizeof(signals));
  return mask;
}

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }

long set_mask(int vcpu, const Mask& mask) { return ioctl(vcpu, KVM_SET_SIGNAL_MASK, &mask); }

void run(const char* what, const probe::Guest& guest) {
  handled = 0;
  guest.run->exit_reason = 99;
  probe::say(ioctl(guest.vcpu, KVM_RUN, 0), "%s", what);
  printf("  exit_reason %u, handled %s\n", guest.run->exit_reason, handled != 0 ? "yes" : "no");
}

/// Signals that ask for what is there.
void show_pending() {
  sigset_t pending;
  sigpending(&pending);
  printf("  SIGALRM pending %d, SIGUSR1 pending %d\n", sigismember(&pending, SIGALRM),
         sigismember(&pending, SIGUSR1));
}

}  // namespace

int main() {
  const probe::Guest guest = probe::start_guest(KVM_X86_DEFAULT_VM, kCode, sizeof(kCode));
  Mask mask = mask_of(0);
  mask.length = 4;
  probe::say(set_mask(guest.vcpu, mask), "a mask of 4 bytes");
  mask.length = 128;
  probe::say(set_mask(guest.vcpu, mask), "a mask of 128 bytes");
  probe::say(ioctl(guest.vcpu, KVM_SET_SIGNAL_MASK, 8), "a mask at address 8");
  std::byte* end = probe::pages(2);
  munmap(end + probe::kPage, probe::kPage);
  const std::uint32_t length = 8;
  memcpy(end + probe::kPage - 8, &length, sizeof(length));
  probe::say(ioctl(guest.vcpu, KVM_SET_SIGNAL_MASK, end + probe::kPage - 8),
             "a mask across the end of memory");
  probe::say(ioctl(guest.vcpu, KVM_SET_SIGNAL_MASK, nullptr), "no mask");
  probe::say(set_mask(guest.vcpu, mask_of(~0ULL)), "all signals, SIGKILL and SIGSTOP too");

  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigaction(SIGALRM, &action, nullptr);
  sigaction(SIGUSR1, &action, nullptr);
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  sigaddset(&alarm, SIGUSR1);
  sigprocmask(SIG_BLOCK, &alarm, nullptr);

  // The thread blocks it, the guest's mask does not: it ends KVM_RUN and stays pending.
  probe::say(set_mask(guest.vcpu, mask_of(0)), "a mask that blocks nothing");
  const itimerval once = {{0, 0}, {0, 20000}};
  setitimer(ITIMER_REAL, &once, nullptr);
  run("RUN until SIGALRM, which the thread blocks", guest);
  show_pending();
  run("RUN with SIGALRM still pending", guest);

  // One that both block waits; another one ends KVM_RUN.
  probe::say(set_mask(guest.vcpu, mask_of(bit(SIGALRM))), "a mask that blocks SIGALRM");
  raise(SIGUSR1);
  run("RUN with SIGALRM and SIGUSR1 pending", guest);
  show_pending();
  const timespec now = {0, 0};
  sigtimedwait(&alarm, nullptr, &now);
  sigtimedwait(&alarm, nullptr, &now);
  show_pending();

  // The thread lets it through, the guest's mask blocks it: handled behind the call.
  sigprocmask(SIG_UNBLOCK, &alarm, nullptr);
  probe::say(set_mask(guest.vcpu, mask_of(bit(SIGALRM))), "a mask that blocks SIGALRM");
  guest.run->immediate_exit = 1;
  run("RUN with immediate_exit", guest);
  guest.run->immediate_exit = 0;
  setitimer(ITIMER_REAL, &once, nullptr);
  timer_t later;
  sigevent by_signal = {};
  by_signal.sigev_notify = SIGEV_SIGNAL;
  by_signal.sigev_signo = SIGUSR1;
  timer_create(CLOCK_MONOTONIC, &by_signal, &later);
  const itimerspec after_the_alarm = {{0, 0}, {0, 200'000'000}};
  timer_settime(later, 0, &after_the_alarm, nullptr);
  run("RUN until SIGUSR1, with SIGALRM before it", guest);
}
