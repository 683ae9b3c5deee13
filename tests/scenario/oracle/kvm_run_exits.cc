// A guest of a few instructions: port I/O, MMIO, HLT.
#include "kvm.h"

namespace {

// mov dx, 0x3f8; mov al, 'A'; out dx, al; in al, dx; mov [bx], al; mov ax, [bx]; hlt
constexpr std::uint8_t kCode[] = {0xba, 0xf8, 0x03, 0xb0, 'A',  0xee, 0xec, 0xbb,
                                  0x00, 0x80, 0x88, 0x07, 0x8b, 0x07, 0xf4};

}  // namespace

int main() {
  const probe::Guest guest = probe::start_guest(KVM_X86_DEFAULT_VM, kCode, sizeof(kCode));
  kvm_run* run = guest.run;
  auto* data = reinterpret_cast<char*>(run);
  for (int step = 0; step < 6; ++step) {
    probe::say(ioctl(guest.vcpu, KVM_RUN, 0), "RUN");
    printf("  exit %u", run->exit_reason);
    if (run->exit_reason == KVM_EXIT_IO) {
      char* byte = data + run->io.data_offset;
      printf(": direction %u, size %u, port 0x%x, count %u, offset %llu", run->io.direction,
             run->io.size, run->io.port, run->io.count, run->io.data_offset);
      if (run->io.direction == KVM_EXIT_IO_OUT) printf(", byte %c", *byte);
      *byte = 'B';
    }
    if (run->exit_reason == KVM_EXIT_MMIO) {
      printf(": address 0x%llx, length %u, write %u", run->mmio.phys_addr, run->mmio.len,
             run->mmio.is_write);
      if (run->mmio.is_write != 0) printf(", byte %c", run->mmio.data[0]);
      memcpy(run->mmio.data, "CD", 2);
    }
    puts("");
    if (run->exit_reason == KVM_EXIT_HLT) break;
  }
  kvm_regs regs = {};
  probe::call(guest.vcpu, KVM_GET_REGS, regs);
  printf("rip 0x%llx, ax 0x%llx\n", regs.rip, regs.rax & 0xffff);
  run->immediate_exit = 1;
  probe::say(ioctl(guest.vcpu, KVM_RUN, 0), "RUN with immediate_exit");
  printf("  exit %u\n", run->exit_reason);
}
