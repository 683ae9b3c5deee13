#pragma once

#include "unit/machine/make_machine.h"

namespace teeio::entry {

using machine::test::error_of;
using machine::test::kOrdinaryVm;
using machine::test::make_machine;
using machine::test::Vmm;

enum class Irqchip : std::uint8_t { kNone, kKernel, kSplit };

/// An ordinary VM and calls on it by name.
struct KvmVm {
  explicit KvmVm(Irqchip irqchip = Irqchip::kNone,
                 std::shared_ptr<machine::Machine> on = make_machine())
      : machine(std::move(on)) {
    EXPECT_TRUE(vmm.make_vm(kOrdinaryVm).has_value());
    if (irqchip == Irqchip::kKernel) {
      EXPECT_TRUE(vmm.ioctl(vmm.vm, KVM_CREATE_IRQCHIP, std::uint64_t{0}).has_value());
    }
    if (irqchip == Irqchip::kSplit) {
      EXPECT_TRUE(enable(KVM_CAP_SPLIT_IRQCHIP, 24).has_value());
    }
  }
  void add_vcpu() { EXPECT_TRUE(vmm.make_vcpu().has_value()); }

  Result<std::int64_t> enable(std::uint32_t cap, std::uint64_t value, std::uint32_t flags = 0) {
    abi::kvm_enable_cap arg{};
    arg.cap = cap;
    arg.flags = flags;
    arg.args[0] = value;
    return vmm.ioctl(vmm.vm, KVM_ENABLE_CAP, arg);
  }
  std::int64_t extension(int fd, std::uint64_t cap) {
    return vmm.ioctl(fd, KVM_CHECK_EXTENSION, cap).value_or(-1);
  }
  template <class T>
  T get(int fd, std::uint32_t command, T value = {}) {
    EXPECT_TRUE(vmm.ioctl(fd, command, value).has_value());
    return value;
  }
  template <class T>
  Result<std::int64_t> set(int fd, std::uint32_t command, T value) {
    return vmm.ioctl(fd, command, value);
  }

  /// CPUID with this many entries, as a program that keeps to what the host supports sets it.
  struct CpuidList {
    struct {
      std::uint32_t nent = 0, padding = 0;
    } header;
    abi::kvm_cpuid_entry2 entries[80] = {};
  };
  CpuidList supported() {
    CpuidList list;
    list.header.nent = std::size(list.entries);
    EXPECT_TRUE(vmm.ioctl(vmm.kvm, KVM_GET_SUPPORTED_CPUID, list).has_value());
    return list;
  }
  Result<std::int64_t> set_cpuid(CpuidList list) {
    return vmm.ioctl(vmm.vcpu, KVM_SET_CPUID2, list);
  }

  struct Msr {
    struct {
      std::uint32_t nmsrs = 0, pad = 0;
    } header;
    abi::kvm_msr_entry entry{};
  };
  /// The value; nullopt when the call did not take it.
  std::optional<std::uint64_t> msr(std::uint32_t index) {
    Msr list{.header = {.nmsrs = 1, .pad = 0}, .entry = {index, 0, 0}};
    const auto done = vmm.ioctl(vmm.vcpu, KVM_GET_MSRS, list);
    return done.value_or(0) == 1 ? std::optional(list.entry.data) : std::nullopt;
  }
  bool set_msr(std::uint32_t index, std::uint64_t value) {
    Msr list{.header = {.nmsrs = 1, .pad = 0}, .entry = {index, 0, value}};
    return vmm.ioctl(vmm.vcpu, KVM_SET_MSRS, list).value_or(0) == 1;
  }

  std::shared_ptr<machine::Machine> machine;
  Vmm vmm{*machine};
};

}  // namespace teeio::entry
