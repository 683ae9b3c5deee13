// Where RIP is when KVM_RUN comes back for a port or a register of the VMM's.
#include "kvm.h"

namespace {

// out 0x10, al; in al, 0x10; in al, 0x11; out 0x7e, al; mov [bx], al; mov ax, [bx]; inc cx; hlt
constexpr std::uint8_t kCode[] = {0xe6, 0x10, 0xe4, 0x10, 0xe4, 0x11, 0xe6,
                                  0x7e, 0x88, 0x07, 0x8b, 0x07, 0x41, 0xf4};

void show(const probe::Guest& guest, const char* what) {
  kvm_regs regs = {};
  probe::call(guest.vcpu, KVM_GET_REGS, regs);
  printf("  %s: exit %u, rip 0x%llx, ax 0x%llx, cx 0x%llx\n", what, guest.run->exit_reason,
         regs.rip, regs.rax & 0xffff, regs.rcx & 0xffff);
}

void run(const probe::Guest& guest, bool immediate) {
  guest.run->immediate_exit = immediate ? 1 : 0;
  probe::say(ioctl(guest.vcpu, KVM_RUN, 0), immediate ? "RUN with immediate_exit" : "RUN");
  show(guest, "then");
}

}  // namespace

int main() {
  const probe::Guest guest = probe::start_guest(KVM_X86_DEFAULT_VM, kCode, sizeof(kCode));
  kvm_regs regs = {};
  probe::call(guest.vcpu, KVM_GET_REGS, regs);
  regs.rbx = 0x8000;
  probe::say(probe::call(guest.vcpu, KVM_SET_REGS, regs), "SET_REGS");
  auto* port = reinterpret_cast<unsigned char*>(guest.run) + probe::kPage;
  run(guest, false);  // OUT
  run(guest, true);
  run(guest, false);  // IN
  *port = 0x5a;
  run(guest, true);
  run(guest, false);  // IN, and away from it
  *port = 0x77;
  probe::call(guest.vcpu, KVM_GET_REGS, regs);
  regs.rip = 0x1006;
  probe::say(probe::call(guest.vcpu, KVM_SET_REGS, regs), "SET_REGS to the next instruction");
  run(guest, true);
  run(guest, false);  // OUT to 0x7e
  run(guest, true);
  run(guest, false);  // a store
  run(guest, true);
  run(guest, false);  // a load
  guest.run->mmio.data[0] = 0x34;
  guest.run->mmio.data[1] = 0x12;
  run(guest, true);
  run(guest, false);
  guest.run->cr8 = 0x10;
  run(guest, false);
  printf("cr8 0x%llx\n", guest.run->cr8);
}
