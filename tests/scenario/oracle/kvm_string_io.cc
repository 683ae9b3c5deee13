// INS and OUTS: how many elements an exit has, and where the registers are meanwhile.
#include <vector>

#include "kvm.h"

namespace {

using Code = std::vector<std::uint8_t>;

constexpr std::uint64_t kSource = 0x2000;
constexpr std::uint64_t kTarget = 0x3000;

/// A guest with memory up to 0xa000, in 16 bits: SI at kSource, DI at kTarget, DX 0x1234.
struct Machine {
  probe::Guest guest;
  std::byte* memory;
  unsigned char* port;
};

Machine start(const Code& code, std::uint64_t count, std::uint64_t rflags) {
  Machine machine = {probe::start_guest(KVM_X86_DEFAULT_VM, code.data(), code.size()), nullptr,
                     nullptr};
  machine.memory = probe::pages(8);
  const auto slot = probe::slot(1, kSource, 8 * probe::kPage, machine.memory);
  if (probe::set_slot(machine.guest.vm, slot) != 0) probe::give_up("memory slot");
  machine.port = reinterpret_cast<unsigned char*>(machine.guest.run) + probe::kPage;
  kvm_regs regs = {};
  regs.rip = 0x1000;
  regs.rflags = rflags;
  regs.rsi = kSource;
  regs.rdi = kTarget;
  regs.rcx = count;
  regs.rdx = 0x1234;
  if (probe::call(machine.guest.vcpu, KVM_SET_REGS, regs) != 0) probe::give_up("KVM_SET_REGS");
  for (std::size_t i = 0; i < probe::kPage; ++i) machine.memory[i] = std::byte(i + 0x10);
  return machine;
}

void show(const Machine& machine, long result) {
  const kvm_run& run = *machine.guest.run;
  kvm_regs regs = {};
  probe::call(machine.guest.vcpu, KVM_GET_REGS, regs);
  printf("  %ld: exit %u, rip 0x%llx, RF 0x%llx, cx 0x%llx, si 0x%llx, di 0x%llx", result,
         run.exit_reason, regs.rip, regs.rflags & 0x10000, regs.rcx, regs.rsi, regs.rdi);
  if (run.exit_reason == KVM_EXIT_IO) {
    printf(", %s port 0x%x, %u x %u", run.io.direction != 0 ? "out" : "in", run.io.port,
           run.io.count, run.io.size);
    if (run.io.direction != 0)
      for (unsigned i = 0; i < run.io.size; ++i) printf(" %02x", machine.port[i]);
  }
  if (run.exit_reason == KVM_EXIT_MMIO) {
    printf(", %s 0x%llx", run.mmio.is_write ? "write" : "read", run.mmio.phys_addr);
    if (run.mmio.is_write) printf(" %02x", run.mmio.data[0]);
  }
  puts("");
}

/// To HLT, or eight exits.
void run(const char* what, const Code& code, std::uint64_t count, std::uint64_t rflags = 2,
         bool immediate = false) {
  puts(what);
  const Machine machine = start(code, count, rflags);
  kvm_run& page = *machine.guest.run;
  for (int i = 0; i < 8; ++i) {
    show(machine, ioctl(machine.guest.vcpu, KVM_RUN, 0));
    if (page.exit_reason == KVM_EXIT_HLT) break;
    if (page.exit_reason == KVM_EXIT_IO && page.io.direction == 0)
      for (unsigned at = 0; at < page.io.count * page.io.size; ++at)
        machine.port[at] = static_cast<unsigned char>(0xa0 + at);
    if (page.exit_reason == KVM_EXIT_MMIO && !page.mmio.is_write) page.mmio.data[0] = 0x5a;
    if (!immediate) continue;
    page.immediate_exit = 1;
    show(machine, ioctl(machine.guest.vcpu, KVM_RUN, 0));
    page.immediate_exit = 0;
  }
  printf("  memory");
  for (std::size_t at = kTarget - 8; at < kTarget + 16; ++at)
    printf(" %02x", static_cast<unsigned>(machine.memory[at - kSource]));
  puts("");
}

}  // namespace

int main() {
  constexpr std::uint64_t kDown = 0x402;
  run("outsb", {0x6e, 0xf4}, 5);
  run("outsw", {0x6f, 0xf4}, 5);
  run("outsd", {0x66, 0x6f, 0xf4}, 5);
  run("rep outsb", {0xf3, 0x6e, 0xf4}, 3);
  run("rep outsb, immediate_exit in between", {0xf3, 0x6e, 0xf4}, 3, 2, true);
  run("rep outsw, downwards", {0xf3, 0x6f, 0xf4}, 3, kDown);
  run("cs outsb", {0x2e, 0x6e, 0xf4}, 1);
  run("insb", {0x6c, 0xf4}, 5);
  run("insb, immediate_exit in between", {0x6c, 0xf4}, 5, 2, true);
  run("rep insb", {0xf3, 0x6c, 0xf4}, 5);
  run("rep insb, immediate_exit in between", {0xf3, 0x6c, 0xf4}, 5, 2, true);
  run("rep insw", {0xf3, 0x6d, 0xf4}, 5);
  run("rep insd", {0xf3, 0x66, 0x6d, 0xf4}, 3);
  run("rep insb of nothing", {0xf3, 0x6c, 0xf4}, 0);
  run("rep outsb of nothing", {0xf3, 0x6e, 0xf4}, 0);
  run("rep insb of 3000", {0xf3, 0x6c, 0xf4}, 3000);
  run("rep insb with ECX", {0x67, 0xf3, 0x6c, 0xf4}, 0x10003);
  // add di, 5; then downwards
  run("rep insb, downwards", {0x83, 0xc7, 0x05, 0xf3, 0x6c, 0xf4}, 5, kDown);
  run("rep insb, downwards from a page's first byte", {0xf3, 0x6c, 0xf4}, 3, kDown);
  // sub di, 3
  run("rep insb across a page", {0x83, 0xef, 0x03, 0xf3, 0x6c, 0xf4}, 8);
  run("rep insw across a page", {0x83, 0xef, 0x03, 0xf3, 0x6d, 0xf4}, 4);
  // mov di, 0xb000; mov si, 0xb000
  run("insb to no memory", {0xbf, 0x00, 0xb0, 0x6c, 0xf4}, 1);
  run("outsb from no memory", {0xbe, 0x00, 0xb0, 0x6e, 0xf4}, 1);
}
