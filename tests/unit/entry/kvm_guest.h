#pragma once

#include <initializer_list>

#include "host/mm/plain_files.h"
#include "unit/entry/kvm_vm.h"

namespace teeio::entry {

inline constexpr std::uint64_t kCode = 0x1000;
inline constexpr std::uint64_t kData = 0x3000;
inline constexpr std::uint64_t kMemory = 16 * kPageSize;

/// An ordinary VM in flat 32-bit mode, with its code at kCode.
struct Guest : KvmVm {
  explicit Guest(std::initializer_list<std::uint8_t> code, Irqchip irqchip = Irqchip::kNone,
                 std::uint32_t slot_flags = 0)
      : KvmVm(irqchip) {
    slot.slot = 0;
    slot.flags = slot_flags;
    slot.memory_size = kMemory;
    slot.userspace_addr = vmm.memory().map(kMemory);
    EXPECT_TRUE(vmm.ioctl(vmm.vm, KVM_SET_USER_MEMORY_REGION, slot).has_value());
    EXPECT_TRUE(vmm.memory()
                    .write(slot.userspace_addr + kCode, std::as_bytes(std::span(code)))
                    .has_value());
    add_vcpu();
    EXPECT_TRUE(vmm.make_mappable(vmm.vcpu).has_value());
    auto sregs = get<abi::kvm_sregs>(vmm.vcpu, KVM_GET_SREGS);
    sregs.cr0 |= 1;
    for (abi::kvm_segment* segment :
         {&sregs.cs, &sregs.ds, &sregs.es, &sregs.fs, &sregs.gs, &sregs.ss}) {
      segment->base = 0;
      segment->limit = 0xffff'ffff;
      segment->g = segment->db = 1;
      segment->selector = segment == &sregs.cs ? 8 : 16;
    }
    EXPECT_TRUE(set(vmm.vcpu, KVM_SET_SREGS, sregs).has_value());
    abi::kvm_regs regs{};
    regs.rip = kCode;
    regs.rflags = 2;
    EXPECT_TRUE(set(vmm.vcpu, KVM_SET_REGS, regs).has_value());
  }
  abi::kvm_run& page() {
    return *reinterpret_cast<abi::kvm_run*>(vmm.mapped(vmm.vcpu).touch(0)->data());
  }
  /// The exit reason of one KVM_RUN.
  std::uint32_t run() {
    EXPECT_TRUE(vmm.ioctl(vmm.vcpu, KVM_RUN, std::uint64_t{0}).has_value());
    return page().exit_reason;
  }
  abi::kvm_regs regs() { return get<abi::kvm_regs>(vmm.vcpu, KVM_GET_REGS); }

  abi::kvm_userspace_memory_region slot{};
};

}  // namespace teeio::entry
