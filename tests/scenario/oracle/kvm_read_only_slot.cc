// Memslots where the guest has met none, and read-only ones: whose a store is.
#include "kvm.h"

namespace {

constexpr std::uint32_t kReadOnly = KVM_MEM_READONLY;

// mov [0x2000], al; mov al, [0x3000]; inc byte [0x3001]; hlt: in 16 bits
constexpr std::uint8_t kCode[] = {0xa2, 0x00, 0x20, 0xa0, 0x00, 0x30, 0xfe, 0x06, 0x01, 0x30, 0xf4};

std::byte* memory;

void set(const probe::Guest& guest, const char* what, std::uint64_t gpa, std::uint64_t size,
         std::uint32_t flags = 0) {
  kvm_userspace_memory_region2 arg = probe::slot(1, gpa, size, memory);
  arg.flags = flags;
  probe::say(probe::set_slot(guest.vm, arg), "%s", what);
}

/// Until HLT, or something that is no access of the guest's.
void run(const probe::Guest& guest, const char* what) {
  kvm_regs regs = {};
  regs.rip = 0x1000;
  regs.rflags = 2;
  if (probe::call(guest.vcpu, KVM_SET_REGS, regs) != 0) probe::give_up("KVM_SET_REGS");
  do {
    probe::say(ioctl(guest.vcpu, KVM_RUN, 0), "%s", what);
    probe::call(guest.vcpu, KVM_GET_REGS, regs);
    printf("  exit %u, rip 0x%llx, al 0x%llx", guest.run->exit_reason, regs.rip, regs.rax & 0xff);
    if (guest.run->exit_reason == KVM_EXIT_MMIO) {
      printf(", 0x%llx, %s", guest.run->mmio.phys_addr,
             guest.run->mmio.is_write ? "write" : "read");
      if (guest.run->mmio.is_write) printf(" 0x%x", guest.run->mmio.data[0]);
      guest.run->mmio.data[0] = 0x70;
    }
    puts("");
  } while (guest.run->exit_reason == KVM_EXIT_MMIO);
  printf("  memory 0x%x 0x%x 0x%x\n", static_cast<unsigned>(memory[0]),
         static_cast<unsigned>(memory[0x1000]), static_cast<unsigned>(memory[0x1001]));
}

}  // namespace

int main() {
  memory = probe::pages(2);
  memory[0x1000] = std::byte{0x33};
  memory[0x1001] = std::byte{0x44};
  const probe::Guest guest = probe::start_guest(KVM_X86_DEFAULT_VM, kCode, sizeof(kCode));
  run(guest, "RUN without memory");
  set(guest, "a slot there", 0x2000, 2 * probe::kPage);
  run(guest, "RUN");
  set(guest, "it moves away", 0x100000, 2 * probe::kPage);
  run(guest, "RUN");
  set(guest, "it comes back", 0x2000, 2 * probe::kPage);
  run(guest, "RUN");
  set(guest, "it goes", 0, 0);
  run(guest, "RUN");
  set(guest, "a read-only one", 0x2000, 2 * probe::kPage, kReadOnly);
  run(guest, "RUN");
  set(guest, "its writes are logged", 0x2000, 2 * probe::kPage,
      kReadOnly | KVM_MEM_LOG_DIRTY_PAGES);
  run(guest, "RUN");
  unsigned long bits = 0;
  kvm_dirty_log log = {};
  log.slot = 1;
  log.dirty_bitmap = probe::address_of(&bits);
  probe::say(probe::call(guest.vm, KVM_GET_DIRTY_LOG, log), "GET_DIRTY_LOG");
  printf("  0x%lx\n", bits);
  set(guest, "it is moved by a page", 0x3000, 2 * probe::kPage, kReadOnly);
  run(guest, "RUN");
  set(guest, "it goes", 0, 0);
  set(guest, "one that is written again", 0x2000, 2 * probe::kPage);
  run(guest, "RUN");
  set(guest, "it goes", 0, 0);
  mprotect(memory, probe::kPage, PROT_READ);
  set(guest, "a read-only one over memory that the program only reads", 0x2000, 2 * probe::kPage,
      kReadOnly);
  run(guest, "RUN");
}
