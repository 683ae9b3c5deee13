// SET_MEMORY_ATTRIBUTES on a VM that has private memory, and on one that has not.
#include "kvm.h"

namespace {

int vm;

void set(const char* what, std::uint64_t gpa, std::uint64_t size, std::uint64_t attributes,
         std::uint64_t flags = 0) {
  kvm_memory_attributes arg = {gpa, size, attributes, flags};
  probe::say(probe::call(vm, KVM_SET_MEMORY_ATTRIBUTES, arg), "%s", what);
}

}  // namespace

int main() {
  constexpr std::uint64_t kPrivate = KVM_MEMORY_ATTRIBUTE_PRIVATE;
  vm = probe::create_vm(KVM_X86_SW_PROTECTED_VM);
  probe::say_value(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES), "MEMORY_ATTRIBUTES");
  probe::say(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, nullptr), "null pointer");
  set("private, without a slot", 0x10000, 0x1000, kPrivate);
  set("private again", 0x10000, 0x1000, kPrivate);
  set("shared", 0x10000, 0x1000, 0);
  set("readable", 0x10000, 0x1000, 1);
  set("private and readable", 0x10000, 0x1000, kPrivate | 1);
  set("a flag", 0x10000, 0x1000, kPrivate, 1);
  set("size 0", 0x10000, 0, kPrivate);
  set("size 100", 0x10000, 100, kPrivate);
  set("address 100", 0x10100, 0x1000, kPrivate);
  set("wraps", ~0ULL - 0xfff, 0x2000, kPrivate);
  set("ends at the very end", ~0ULL - 0xfff, 0x1000, kPrivate);
  set("a gigabyte", 0x40000000, 0x40000000, kPrivate);

  vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  probe::say_value(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES),
                   "MEMORY_ATTRIBUTES of a default VM");
  set("private in a default VM", 0x10000, 0x1000, kPrivate);
  set("shared in a default VM", 0x10000, 0x1000, 0);
}
