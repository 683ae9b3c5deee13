// A guest that touches memory of the other kind: EFAULT and KVM_EXIT_MEMORY_FAULT.
#include "kvm.h"

namespace {

constexpr std::uint8_t kCode[] = {0xf4};  // hlt

void run(const probe::Guest& guest, const char* what) {
  probe::say(ioctl(guest.vcpu, KVM_RUN, 0), "%s", what);
  printf("  exit %u", guest.run->exit_reason);
  if (guest.run->exit_reason == KVM_EXIT_MEMORY_FAULT) {
    printf(": gpa 0x%llx, size 0x%llx, flags %llu", guest.run->memory_fault.gpa,
           guest.run->memory_fault.size, guest.run->memory_fault.flags);
  }
  puts("");
}

}  // namespace

int main() {
  const probe::Guest guest = probe::start_guest(KVM_X86_SW_PROTECTED_VM, kCode, sizeof(kCode));
  probe::say(probe::set_attributes(guest.vm, 0x1000, 0x1000, KVM_MEMORY_ATTRIBUTE_PRIVATE),
             "make the code private");
  run(guest, "RUN, nothing private behind the slot");
  probe::say(probe::set_attributes(guest.vm, 0x1000, 0x1000, 0), "make it shared again");
  run(guest, "RUN");
}
