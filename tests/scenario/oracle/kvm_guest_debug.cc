// KVM_SET_GUEST_DEBUG: single steps and breakpoints.
#include "kvm.h"

namespace {

// nop; inc bx; mov [0x1800], ax; mov ax, [0x1802]; out 0x10, al; cpuid; int3; nop; hlt
constexpr std::uint8_t kCode[] = {0x90, 0x43, 0xa3, 0x00, 0x18, 0xa1, 0x02, 0x18,
                                  0xe6, 0x10, 0x0f, 0xa2, 0xcc, 0x90, 0xf4};

void set(const probe::Guest& guest, const char* what, std::uint32_t control,
         std::uint64_t address = 0, std::uint64_t dr7 = 0, unsigned number = 0) {
  kvm_guest_debug debug = {};
  debug.control = control;
  debug.arch.debugreg[number] = address;
  debug.arch.debugreg[7] = dr7;
  probe::say(probe::call(guest.vcpu, KVM_SET_GUEST_DEBUG, debug), "%s", what);
}

void run(const probe::Guest& guest) {
  guest.run->debug.arch = {};
  probe::say(ioctl(guest.vcpu, KVM_RUN, 0), "RUN");
  const kvm_debug_exit_arch& arch = guest.run->debug.arch;
  kvm_regs regs = {};
  probe::call(guest.vcpu, KVM_GET_REGS, regs);
  printf("  exit %u, rip 0x%llx, TF 0x%llx", guest.run->exit_reason, regs.rip, regs.rflags & 0x100);
  if (guest.run->exit_reason == KVM_EXIT_DEBUG)
    printf(", exception %u, pc 0x%llx, dr6 0x%llx", arch.exception, arch.pc, arch.dr6);
  puts("");
}

void go_to(const probe::Guest& guest, std::uint64_t rip, std::uint64_t rflags = 2) {
  kvm_regs regs = {};
  probe::call(guest.vcpu, KVM_GET_REGS, regs);
  regs.rip = rip;
  regs.rflags = rflags;
  probe::say(probe::call(guest.vcpu, KVM_SET_REGS, regs), "to 0x%llx", regs.rip);
}

}  // namespace

int main() {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  const int kvm = probe::open_kvm();
  probe::say_value(ioctl(kvm, KVM_CHECK_EXTENSION, 23), "KVM_CAP_SET_GUEST_DEBUG");
  probe::say_value(ioctl(kvm, KVM_CHECK_EXTENSION, 195), "KVM_CAP_SET_GUEST_DEBUG2");
  const probe::Guest guest = probe::start_guest(KVM_X86_DEFAULT_VM, kCode, sizeof(kCode));
  probe::say(ioctl(guest.vcpu, KVM_SET_GUEST_DEBUG, nullptr), "no argument");
  set(guest, "an unknown flag", 0x80000000);

  set(guest, "single step", KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
  for (int i = 0; i < 7; ++i) run(guest);

  for (unsigned i = 0; i < 4; ++i) {
    go_to(guest, 0x1000);
    set(guest, "a breakpoint at inc bx", KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, 0x1001,
        0x400 | 2U << (2 * i), i);
    run(guest);
  }
  run(guest);
  go_to(guest, 0x1001, 0x10002);
  run(guest);

  go_to(guest, 0x1000);
  set(guest, "a watchpoint, two bytes, written", KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
      0x1800, 0x400 | 1U | 5U << 16U);
  run(guest);
  go_to(guest, 0x1000);
  set(guest, "a watchpoint, one byte, read or written",
      KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, 0x1803, 0x400 | 1U | 3U << 16U);
  run(guest);

  go_to(guest, 0x100d);
  set(guest, "an exception, and nothing enabled", KVM_GUESTDBG_INJECT_DB);
  set(guest, "another one", KVM_GUESTDBG_INJECT_BP);
  go_to(guest, 0x100d);
  set(guest, "another one, after SET_REGS", KVM_GUESTDBG_INJECT_BP);
  go_to(guest, 0x100d);
  run(guest);
}
