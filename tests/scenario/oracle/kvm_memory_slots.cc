// SET_USER_MEMORY_REGION2 with ordinary memory.
#include "kvm.h"

namespace {

int vm;

void set(const char* what, kvm_userspace_memory_region2 arg) {
  probe::say(probe::set_slot(vm, arg), "%s", what);
}

}  // namespace

int main() {
  vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  const std::byte* memory = probe::pages(8);
  probe::say(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, nullptr), "null pointer");
  set("delete a slot that is not there", probe::slot(0, 0, 0, memory));
  set("size 100", probe::slot(0, 0, 100, memory));
  set("gpa 100", probe::slot(0, 100, 0x1000, memory));
  set("userspace address + 100", probe::slot(0, 0, 0x1000, memory + 100));
  set("userspace address 0", probe::slot(9, 0x900000, 0x1000, nullptr));
  kvm_userspace_memory_region2 arg = probe::slot(0, 0, 0x1000, nullptr);
  arg.userspace_addr = 0xffff800000000000ULL;
  set("userspace address of the kernel", arg);
  set("gpa wraps", probe::slot(0, ~0ULL - 0xfff, 0x2000, memory));
  set("slot 32763", probe::slot(32763, 0x800000, 0x1000, memory));
  set("slot 32764", probe::slot(32764, 0x810000, 0x1000, memory));
  set("address space 2", probe::slot(2U << 16, 0, 0x1000, memory));
  arg = probe::slot(0, 0, 0x1000, memory);
  arg.flags = 1U << 8;
  set("unknown flag", arg);
  arg.flags = 0;
  arg.pad1 = 1;
  set("pad1 set", arg);
  arg.pad1 = 0;
  arg.pad2[13] = 1;
  set("pad2 set", arg);
  arg.pad2[13] = 0;
  arg.guest_memfd = 77;
  arg.guest_memfd_offset = 77;
  set("guest_memfd set without the flag", arg);

  set("the same slot again", arg);
  set("grow it", probe::slot(0, 0, 0x2000, memory));
  set("move it", probe::slot(0, 0x10000, 0x1000, memory));
  set("other memory", probe::slot(0, 0x10000, 0x1000, memory + probe::kPage));
  arg = probe::slot(0, 0x10000, 0x1000, memory);
  arg.flags = KVM_MEM_LOG_DIRTY_PAGES;
  set("log dirty pages", arg);
  arg.flags = KVM_MEM_READONLY;
  set("make it read-only", arg);
  set("a slot over it", probe::slot(1, 0xf000, 0x2000, memory));
  set("a slot beside it", probe::slot(1, 0x11000, 0x2000, memory));
  set("move the first over the second", probe::slot(0, 0x11000, 0x1000, memory));
  set("delete the first", probe::slot(0, 0, 0, nullptr));
  set("delete it again", probe::slot(0, 0, 0, nullptr));
  arg = probe::slot(2, 0x20000, 0x1000, memory);
  arg.flags = KVM_MEM_READONLY;
  set("a read-only slot", arg);
}
