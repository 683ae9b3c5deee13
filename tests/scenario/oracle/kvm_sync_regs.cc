// KVM_CAP_SYNC_REGS: registers in struct kvm_run, before and after the guest.
#include "kvm.h"

namespace {

probe::Guest guest;

void run(const char* what) {
  probe::say(ioctl(guest.vcpu, KVM_RUN, 0), "%s", what);
  const kvm_run& run = *guest.run;
  printf("  exit %u, valid %llx, dirty %llx, rbx %llx, rip %llx\n", run.exit_reason,
         run.kvm_valid_regs, run.kvm_dirty_regs, run.s.regs.regs.rbx, run.s.regs.regs.rip);
}

}  // namespace

int main() {
  unsigned char code[32];
  for (std::size_t i = 0; i < sizeof(code); i += 2)
    code[i] = 0x43, code[i + 1] = 0xf4;  // inc bx; hlt
  guest = probe::start_guest(0, code, sizeof(code));
  probe::say_value(ioctl(probe::open_kvm(), KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS), "of KVM");
  probe::say_value(ioctl(guest.vm, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS), "of the VM");
  guest.run->kvm_valid_regs = 8;
  run("unknown registers are asked for");
  guest.run->kvm_valid_regs = 1;
  guest.run->kvm_dirty_regs = 8;
  run("unknown registers are set");
  guest.run->kvm_dirty_regs = 0;
  guest.run->kvm_valid_regs = 0;
  run("none");
  guest.run->kvm_valid_regs = 7;
  run("all are asked for");
  const kvm_sync_regs& regs = guest.run->s.regs;
  printf("cs %llx %x, cr0 %llx, efer %llx\n", regs.sregs.cs.base, regs.sregs.cs.selector,
         regs.sregs.cr0, regs.sregs.efer);
  printf("exception %u %u\n", regs.events.exception.injected, regs.events.exception.nr);

  guest.run->s.regs.regs.rip = 0x1000;
  guest.run->s.regs.regs.rbx = 0x77;
  run("written, and not dirty");
  guest.run->s.regs.regs.rip = 0x1000;
  guest.run->s.regs.regs.rbx = 0x77;
  guest.run->kvm_dirty_regs = 1;
  run("general registers");
  guest.run->s.regs.sregs.cr4 = ~0ULL;
  guest.run->kvm_dirty_regs = 3;
  run("special registers that cannot be");
  guest.run->kvm_dirty_regs = 0;
  guest.run->s.regs.events.exception.injected = 1;
  guest.run->s.regs.events.exception.nr = 32;
  guest.run->kvm_dirty_regs = 4;
  run("an exception that cannot be");
  guest.run->kvm_dirty_regs = 0;
  guest.run->immediate_exit = 1;
  guest.run->s.regs.regs.rip = 0x1002;
  guest.run->s.regs.regs.rbx = 5;
  guest.run->kvm_dirty_regs = 1;
  run("general registers, and no time to run");
  kvm_regs now = {};
  probe::call(guest.vcpu, KVM_GET_REGS, now);
  printf("KVM_GET_REGS: rbx %llx, rip %llx\n", now.rbx, now.rip);
}
