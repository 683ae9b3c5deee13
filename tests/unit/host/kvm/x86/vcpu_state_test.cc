// A vCPU's own state: what waits for its next entry, and which MSRs keep their value.
#include "host/kvm/x86/vcpu_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "host/kvm/x86/msr_numbers.h"
#include "host/kvm/x86/vm_state.h"

namespace teeio::kvm::x86 {
namespace {

class VcpuStateTest : public testing::Test {
 protected:
  VmState vm;
  VcpuState vcpu{vm, 0};
};

// kvm_check_and_inject_events(): each of these is delivered before the guest's next instruction.
TEST_F(VcpuStateTest, WhatWaitsIsDueAtTheNextEntry) {
  EXPECT_FALSE(vcpu.event_due(true, false));
  const auto due = [&](void (*make)(VcpuEvents&), bool interrupts_on) {
    VcpuEvents events;
    make(events);
    EXPECT_TRUE(vcpu.set_events(events));
    const bool is = vcpu.event_due(interrupts_on, false);
    VcpuEvents none;
    none.flags = kValidNmiPending;
    EXPECT_TRUE(vcpu.set_events(none));
    EXPECT_FALSE(vcpu.event_due(true, false));
    return is;
  };
  vm.set_exception_payload(true);
  const auto injected = [](VcpuEvents& e) { e.exception.injected = 1, e.exception.nr = 13; };
  const auto pending = [](VcpuEvents& e) {
    e.exception.pending = 1, e.exception.nr = 13, e.flags = kValidPayload;
  };
  const auto nmi = [](VcpuEvents& e) { e.nmi.pending = 1, e.flags = kValidNmiPending; };
  const auto masked = [](VcpuEvents& e) {
    e.nmi.pending = e.nmi.masked = 1, e.flags = kValidNmiPending;
  };
  const auto interrupt = [](VcpuEvents& e) { e.interrupt.injected = 1, e.interrupt.nr = 32; };
  EXPECT_TRUE(due(injected, false));
  EXPECT_TRUE(due(pending, false));
  EXPECT_TRUE(due([](VcpuEvents& e) { e.nmi.injected = 1; }, false));
  EXPECT_TRUE(due(nmi, false));
  EXPECT_FALSE(due(masked, true));
  EXPECT_TRUE(due(interrupt, true));
  EXPECT_FALSE(due(interrupt, false)) << "interrupts are off";
}

// __set_sregs(): the first interrupt of the bitmap is injected; none leaves what there is.
TEST_F(VcpuStateTest, TheLowestInterruptOfTheBitmapIsInjected) {
  ControlRegisters control;
  vcpu.show_control(control);
  control.interrupt_bitmap[1] = 1U << 5U | 1U << 9U;
  control.interrupt_bitmap[2] = 1;
  ASSERT_TRUE(vcpu.set_control(control));
  EXPECT_EQ(vcpu.events().interrupt.injected, 1U);
  EXPECT_EQ(vcpu.events().interrupt.nr, 69U);
  std::ranges::fill(control.interrupt_bitmap, 0);
  ASSERT_TRUE(vcpu.set_control(control));
  EXPECT_EQ(vcpu.events().interrupt.nr, 69U);
}

// kvm_get_cr8(): the local APIC's where KVM has it, else the vCPU's own.
TEST_F(VcpuStateTest, Cr8IsTheTaskPriorityOfALocalApicOfKvms) {
  vcpu.set_cr8(5);
  EXPECT_EQ(vcpu.cr8(), 5U);
  VmState other;
  ASSERT_TRUE(other.interrupts().create_kernel());
  VcpuState with_lapic{other, 0};
  with_lapic.set_cr8(5);
  EXPECT_EQ(with_lapic.cr8(), 5U);
  other.interrupts().with_lapic(with_lapic.lapic(), [](Lapic& lapic, bool) { lapic.set_tpr(7); });
  EXPECT_EQ(with_lapic.cr8(), 7U);
}

// kvm_vcpu_ioctl_x86_set_vcpu_events(): a latched INIT is the local APIC's.
TEST_F(VcpuStateTest, ALatchedInitIsKeptWhereThereIsALocalApic) {
  VmState other;
  ASSERT_TRUE(other.interrupts().create_kernel());
  VcpuState with_lapic{other, 0};
  VcpuEvents events;
  events.flags = kValidSmm;
  events.smi.latched_init = 1;
  ASSERT_TRUE(with_lapic.set_events(events));
  EXPECT_EQ(with_lapic.events().smi.latched_init, 1U);
  ASSERT_TRUE(vcpu.set_events(events));
  EXPECT_EQ(vcpu.events().smi.latched_init, 0U) << "no local APIC of KVM's";
}

// kvm_apic_has_interrupt(): the highest request, if it is above what the processor is at.
TEST(LapicTest, AnInterruptIsDueAboveTheProcessorsPriority) {
  constexpr std::size_t kTaskPriority = 0x80, kSpurious = 0xf0;
  Lapic lapic{0, true};
  const auto set = [&](std::size_t reg, std::uint32_t value) {
    std::array<std::byte, kLapicStateSize> state{};
    lapic.get_state(state, false);
    std::memcpy(state.data() + reg, &value, sizeof value);
    EXPECT_TRUE(lapic.set_state(state, false));
  };
  const auto accept = [&](std::uint8_t vector) {
    LapicIrq irq;
    irq.vector = vector;
    return lapic.accept(irq);
  };
  EXPECT_FALSE(accept(0x31)) << "it is disabled by software";
  set(kSpurious, 0x1ff);
  EXPECT_FALSE(lapic.interrupt_due());
  EXPECT_TRUE(accept(0x31));
  EXPECT_TRUE(lapic.interrupt_due());
  set(kTaskPriority, 0x30);
  EXPECT_FALSE(lapic.interrupt_due()) << "of the same class";
  EXPECT_TRUE(accept(0xe1));
  EXPECT_TRUE(lapic.interrupt_due());
  set(kTaskPriority, 0xf0);
  EXPECT_FALSE(lapic.interrupt_due());
}

// KVM_CREATE_IRQCHIP.
TEST_F(VcpuStateTest, AVmHasOneIrqchip) {
  ASSERT_TRUE(vm.interrupts().create_kernel());
  EXPECT_EQ(vm.interrupts().create_kernel().error().code, Errno::kExist);
}

// do_set_msr(): feature MSRs stay as they are once the vCPU has run; others do not.
TEST_F(VcpuStateTest, OnlyFeatureMsrsAreFrozen) {
  const std::uint64_t value = vcpu.msrs().get(msr::kPlatformInfo).value();
  ASSERT_TRUE(vcpu.msrs().set(msr::kLstar, 0x1000));
  vcpu.cpuid().freeze();
  EXPECT_TRUE(vcpu.msrs().set(msr::kPlatformInfo, value)) << "the same value";
  EXPECT_FALSE(vcpu.msrs().set(msr::kPlatformInfo, value ^ 1U << 31U));
  EXPECT_EQ(vcpu.msrs().get(msr::kPlatformInfo), value);
  EXPECT_TRUE(vcpu.msrs().set(msr::kLstar, 0x2000));
  EXPECT_EQ(vcpu.msrs().get(msr::kLstar), 0x2000U);
}

}  // namespace
}  // namespace teeio::kvm::x86
