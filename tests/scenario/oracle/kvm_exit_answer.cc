// What KVM_RUN takes of struct kvm_run when it ends an access: nothing that says which it was.
#include "kvm.h"

namespace {

// in al, 0x10; in ax, 0x11; mov al, [0xb000]; mov ax, [0xb000]; hlt: in 16 bits
constexpr std::uint8_t kCode[] = {0xe4, 0x10, 0xe5, 0x11, 0xa0, 0x00, 0xb0, 0xa1, 0x00, 0xb0, 0xf4};

void go(const probe::Guest& guest, const char* what) {
  kvm_regs regs = {};
  regs.rip = 0x1000;
  regs.rflags = 2;
  if (probe::call(guest.vcpu, KVM_SET_REGS, regs) != 0) probe::give_up("KVM_SET_REGS");
  puts(what);
}

void run(const probe::Guest& guest) {
  probe::say(ioctl(guest.vcpu, KVM_RUN, 0), "RUN");
  kvm_regs regs = {};
  probe::call(guest.vcpu, KVM_GET_REGS, regs);
  printf("  exit %u, rip 0x%llx, ax 0x%llx\n", guest.run->exit_reason, regs.rip, regs.rax);
}

}  // namespace

int main() {
  const probe::Guest guest = probe::start_guest(KVM_X86_DEFAULT_VM, kCode, sizeof(kCode));
  auto* port = reinterpret_cast<unsigned char*>(guest.run) + probe::kPage;
  const auto answer = [&](auto change) {
    for (int i = 0; i < 5; ++i) {
      run(guest);
      if (guest.run->exit_reason == KVM_EXIT_IO) memcpy(port, "\x11\x22\x33\x44", 4);
      if (guest.run->exit_reason == KVM_EXIT_MMIO) memcpy(guest.run->mmio.data, "\x55\x66\x77", 3);
      change();
    }
  };
  go(guest, "another exit_reason");
  answer([&] { guest.run->exit_reason = KVM_EXIT_UNKNOWN; });
  go(guest, "another size, direction, port, count and place");
  answer([&] {
    if (guest.run->exit_reason != KVM_EXIT_IO) return;
    guest.run->io.size = 4;
    guest.run->io.direction = 1;
    guest.run->io.port = 1;
    guest.run->io.count = 7;
    guest.run->io.data_offset = 0;
  });
  go(guest, "another length, direction and address");
  answer([&] {
    if (guest.run->exit_reason != KVM_EXIT_MMIO) return;
    guest.run->mmio.len = 1;
    guest.run->mmio.is_write = 1;
    guest.run->mmio.phys_addr = 0;
  });
}
