#pragma once

#include "host/mm/plain_files.h"
#include "unit/entry/kvm_vm.h"

namespace teeio::entry {

/// An eventfd of the program.
struct EventFd {
  explicit EventFd(KvmVm& vm)
      : file(object::make_ref<mm::PlainEventFd>()),
        fd(*vm.vmm.install(object::Ref<object::File>(file))) {}
  void signal() { (*file->eventfd())->signal(); }
  object::Ref<mm::PlainEventFd> file;
  int fd;
};

inline Result<std::int64_t> irqfd(KvmVm& vm, int fd, std::uint32_t gsi, std::uint32_t flags = 0,
                                  int resample = 0) {
  abi::kvm_irqfd arg{};
  arg.fd = static_cast<std::uint32_t>(fd);
  arg.gsi = gsi;
  arg.flags = flags;
  arg.resamplefd = static_cast<std::uint32_t>(resample);
  return vm.vmm.ioctl(vm.vmm.vm, KVM_IRQFD, arg);
}

/// Turns the local APIC of vCPU 0 on, as a guest's spurious-vector register does.
inline void enable_lapic(KvmVm& vm) {
  auto state = vm.get<abi::kvm_lapic_state>(vm.vmm.vcpu, KVM_GET_LAPIC);
  state.regs[0xf1] = 1;
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_LAPIC, state).has_value());
}

inline bool requested(KvmVm& vm, unsigned vector) {
  const auto state = vm.get<abi::kvm_lapic_state>(vm.vmm.vcpu, KVM_GET_LAPIC);
  const std::size_t at = 0x200 + 0x10 * (vector / 32) + vector % 32 / 8;
  return (static_cast<unsigned char>(state.regs[at]) >> (vector % 8) & 1U) != 0;
}

}  // namespace teeio::entry
