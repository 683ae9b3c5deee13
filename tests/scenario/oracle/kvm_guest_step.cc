// KVM_GUESTDBG_SINGLESTEP over what KVM carries out itself, and where a step is lost.
#include <sys/eventfd.h>

#include "kvm.h"

namespace {

// mov bx, 0xb000; in al, 0x10; out 0x11, al; mov [bx], al; nop; mov cl, [bx]; add [bx], cl; nop;
// cpuid; out 0x7e, al; mov ss, dx; nop; nop; hlt
constexpr std::uint8_t kCode[] = {0xbb, 0x00, 0xb0, 0xe4, 0x10, 0xe6, 0x11, 0x88,
                                  0x07, 0x90, 0x8a, 0x0f, 0x00, 0x0f, 0x90, 0x0f,
                                  0xa2, 0xe6, 0x7e, 0x8e, 0xd2, 0x90, 0x90, 0xf4};
constexpr std::uint32_t kStep = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;

void set(const probe::Guest& guest, const char* what, std::uint32_t control,
         std::uint64_t dr7 = 0) {
  kvm_guest_debug debug = {};
  debug.control = control;
  debug.arch.debugreg[7] = dr7;
  probe::say(probe::call(guest.vcpu, KVM_SET_GUEST_DEBUG, debug), "%s", what);
}

void go_to(const probe::Guest& guest, std::uint64_t rip, std::uint64_t rflags = 2) {
  kvm_regs regs = {};
  probe::call(guest.vcpu, KVM_GET_REGS, regs);
  regs.rip = rip;
  regs.rflags = rflags;
  regs.rbx = 0xb000;
  regs.rdx = 0;
  probe::say(probe::call(guest.vcpu, KVM_SET_REGS, regs), "to 0x%llx", regs.rip);
}

void run(const probe::Guest& guest, bool immediate) {
  guest.run->immediate_exit = immediate ? 1 : 0;
  probe::say(ioctl(guest.vcpu, KVM_RUN, 0), immediate ? "RUN with immediate_exit" : "RUN");
  guest.run->immediate_exit = 0;
  kvm_regs regs = {};
  probe::call(guest.vcpu, KVM_GET_REGS, regs);
  printf("  exit %u, rip 0x%llx, TF 0x%llx", guest.run->exit_reason, regs.rip, regs.rflags & 0x100);
  const kvm_debug_exit_arch& arch = guest.run->debug.arch;
  if (guest.run->exit_reason == KVM_EXIT_DEBUG)
    printf(", dr6 0x%llx, dr7 0x%llx", arch.dr6, arch.dr7);
  puts("");
}

/// Stores of one byte to `address` have no exit from now on.
void take(const probe::Guest& guest, int event, const char* what, std::uint64_t address,
          std::uint32_t flags) {
  kvm_ioeventfd arg = {};
  arg.addr = address;
  arg.len = 1;
  arg.fd = event;
  arg.flags = flags;
  probe::say(probe::call(guest.vm, KVM_IOEVENTFD, arg), "%s", what);
}

/// To HLT; what KVM does not write of an exit is 0x99.
void run_all(const probe::Guest& guest, bool immediate) {
  auto* port = reinterpret_cast<unsigned char*>(guest.run) + probe::kPage;
  for (int i = 0; i < 30; ++i) {
    run(guest, false);
    const std::uint32_t reason = guest.run->exit_reason;
    if (reason == KVM_EXIT_HLT) return;
    if (reason == KVM_EXIT_IO) *port = 0x5a;
    if (reason == KVM_EXIT_DEBUG) guest.run->debug.arch.dr7 = 0x99;
    if (immediate && reason != KVM_EXIT_DEBUG) run(guest, true);
  }
}

}  // namespace

int main() {
  const probe::Guest guest = probe::start_guest(KVM_X86_DEFAULT_VM, kCode, sizeof(kCode));
  for (const bool immediate : {false, true}) {
    go_to(guest, 0x1000);
    set(guest, "single step", kStep);
    run_all(guest, immediate);
    go_to(guest, 0x100e);
    set(guest, "single step, from behind the registers", kStep);
    run_all(guest, immediate);
  }
  const int event = eventfd(0, 0);
  take(guest, event, "an ioeventfd at the port", 0x11, KVM_IOEVENTFD_FLAG_PIO);
  take(guest, event, "an ioeventfd at the register", 0xb000, 0);
  go_to(guest, 0x1005);
  set(guest, "single step", kStep);
  run(guest, false);
  run(guest, false);
  go_to(guest, 0x1009);
  set(guest, "single step", kStep);
  go_to(guest, 0x1013);
  run(guest, false);
  go_to(guest, 0x1009);
  run(guest, false);
  go_to(guest, 0x1015, 0x102);
  run(guest, false);
  set(guest, "no more", 0);
  run(guest, false);
  go_to(guest, 0x1015);
  set(guest, "bit 32 of DR7", KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, 0x100000400);
  probe::say(ioctl(guest.vcpu, KVM_RUN, 0), "RUN");
  printf("  exit %u\n", guest.run->exit_reason);
}
