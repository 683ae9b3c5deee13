// A vCPU's own state: what waits for its next entry, and which MSRs keep their value.
#include "host/kvm/x86/vcpu_state.h"

#include <gtest/gtest.h>

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
  EXPECT_FALSE(vcpu.event_due(true));
  const auto due = [&](void (*make)(VcpuEvents&), bool interrupts_on) {
    VcpuEvents events;
    make(events);
    EXPECT_TRUE(vcpu.set_events(events));
    const bool is = vcpu.event_due(interrupts_on);
    VcpuEvents none;
    none.flags = kValidNmiPending;
    EXPECT_TRUE(vcpu.set_events(none));
    EXPECT_FALSE(vcpu.event_due(true));
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
