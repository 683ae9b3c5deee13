// Memory slots with a guest_memfd behind them.
#include "kvm.h"

namespace {

int vm;

kvm_userspace_memory_region2 private_slot(std::uint32_t number, std::uint64_t gpa, int fd,
                                          std::uint64_t offset) {
  static const std::byte* memory = probe::pages(4);
  kvm_userspace_memory_region2 arg = probe::slot(number, gpa, 0x1000, memory);
  arg.flags = KVM_MEM_GUEST_MEMFD;
  arg.guest_memfd = static_cast<std::uint32_t>(fd);
  arg.guest_memfd_offset = offset;
  return arg;
}

void set(const char* what, kvm_userspace_memory_region2 arg) {
  probe::say(probe::set_slot(vm, arg), "%s", what);
}

}  // namespace

int main() {
  vm = probe::create_vm(KVM_X86_SW_PROTECTED_VM);
  const int fd = probe::create_guest_memfd(vm, 0x4000);
  const int other = probe::create_guest_memfd(probe::create_vm(KVM_X86_SW_PROTECTED_VM), 0x4000);

  set("fd -1", private_slot(0, 0, -1, 0));
  set("fd of a memfd", private_slot(0, 0, memfd_create("m", 0), 0));
  set("fd of the VM", private_slot(0, 0, vm, 0));
  set("guest_memfd of another VM", private_slot(0, 0, other, 0));
  set("offset 100", private_slot(0, 0, fd, 100));
  set("offset at the end", private_slot(0, 0, fd, 0x4000));
  set("offset wraps", private_slot(0, 0, fd, ~0ULL - 0xfff));
  kvm_userspace_memory_region2 arg = private_slot(0, 0, fd, 0);
  arg.flags |= KVM_MEM_READONLY;
  set("read-only", arg);
  arg = private_slot(0, 0, fd, 0);
  arg.flags |= KVM_MEM_LOG_DIRTY_PAGES;
  set("log dirty pages", arg);

  set("the first page", private_slot(0, 0, fd, 0));
  set("the same slot again", private_slot(0, 0, fd, 0));
  set("the same page in another slot", private_slot(1, 0x10000, fd, 0));
  set("the second page in another slot", private_slot(1, 0x10000, fd, 0x1000));
  arg = private_slot(0, 0, fd, 0);
  arg.guest_phys_addr = 0x20000;
  set("move a slot", arg);
  arg.memory_size = 0;
  set("delete a slot", arg);
  arg = private_slot(0, 0, fd, 0);
  arg.memory_size = 0;
  arg.flags = 0;
  set("delete it without the flag", arg);
  set("the first page in another slot now", private_slot(2, 0x30000, fd, 0));
  close(fd);
  arg = private_slot(2, 0x30000, -1, 0);
  arg.memory_size = 0;
  arg.flags = 0;
  set("delete that after close of the fd", arg);

  vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  kvm_create_guest_memfd create = {};
  create.size = 0x4000;
  const int plain = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create);
  probe::say(plain, "a guest_memfd of a default VM");
  set("as a slot of the default VM", private_slot(0, 0, plain, 0));
}
