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
  const auto due = [&](const VcpuEvents& events, bool interrupts_on = false) {
    EXPECT_TRUE(vcpu.set_events(events));
    const bool is = vcpu.event_due(interrupts_on);
    EXPECT_TRUE(vcpu.set_events({.flags = kValidNmiPending}));
    EXPECT_FALSE(vcpu.event_due(true));
    return is;
  };
  vm.set_exception_payload(true);
  EXPECT_TRUE(due({.exception = {.injected = 1, .nr = 13}}));
  EXPECT_TRUE(due({.exception = {.nr = 13, .pending = 1}, .flags = kValidPayload}));
  EXPECT_TRUE(due({.nmi = {.injected = 1}}));
  EXPECT_TRUE(due({.nmi = {.pending = 1}, .flags = kValidNmiPending}));
  EXPECT_FALSE(due({.nmi = {.pending = 1, .masked = 1}, .flags = kValidNmiPending}));
  EXPECT_TRUE(due({.interrupt = {.injected = 1, .nr = 32}}, true));
  EXPECT_FALSE(due({.interrupt = {.injected = 1, .nr = 32}}, false)) << "interrupts are off";
  vcpu.queue_exception(6);
  EXPECT_TRUE(vcpu.event_due(false));
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
