#include <gtest/gtest.h>

#include "guest/arm_trap.h"
#include "hw/arm_exceptions.h"
#include "unit/guest/fake_memory.h"

namespace teeio::guest {
namespace {

using ArmReason = hw::CpuExit::Reason;

constexpr std::uint64_t kCode = 0x10000;
constexpr std::uint64_t kData = 0x4000'0000'0000 >> 8U;  // bit 38: an alias as realms have it
constexpr std::uint32_t kSmc = 0xd400'0003;

struct ArmMachine {
  FakeMemory memory;
  std::unique_ptr<hw::Cpu> cpu;

  explicit ArmMachine(std::initializer_list<std::uint32_t> code) {
    std::byte* at = memory.add_ram(kCode);
    for (const std::uint32_t word : code) {
      std::memcpy(at, &word, sizeof word);
      at += sizeof word;
    }
    cpu = std::move(*make_arm_factory()->make(memory));
    start([](auto&) {});
  }
  template <class Change>
  void start(Change change) {
    hw::ArmRegisters registers;
    registers.pc = kCode;
    change(registers);
    cpu->arm()->set_arm_registers(registers);
  }
  [[nodiscard]] hw::ArmRegisters registers() { return cpu->arm()->arm_registers(); }
};

TEST(GuestArm, ACallToFirmwareIsAnExitBehindTheInstruction) {
  ArmMachine m({0xd282'4680, kSmc});  // mov x0, #0x1234
  const hw::CpuExit exit = m.cpu->run();
  ASSERT_EQ(exit.reason, ArmReason::kGuestCall);
  EXPECT_EQ(exit.call, hw::GuestCall::kFirmware);
  EXPECT_EQ(m.registers().x[0], 0x1234U);
  EXPECT_EQ(m.registers().pc, kCode + 8);
}

TEST(GuestArm, APageThatIsNotMappedIsAFaultAndTheInstructionIsTriedAgain) {
  ArmMachine m({0xf900'0020, 0xf940'0022, kSmc});  // str x0, [x1]; ldr x2, [x1]
  m.start([](auto& r) { r.x[0] = 42, r.x[1] = kData + 8; });
  const hw::CpuExit exit = m.cpu->run();
  ASSERT_EQ(exit.reason, ArmReason::kFault);
  EXPECT_TRUE(exit.write);
  EXPECT_EQ(raw(exit.gpa), kData + 8);
  m.memory.add_ram(kData);
  ASSERT_EQ(m.cpu->run().reason, ArmReason::kGuestCall);
  EXPECT_EQ(m.registers().x[2], 42U);
  EXPECT_EQ(m.memory.get_u64(kData + 8), 42U);
}

// AArch64.TakeException(), and the way back by ERET.
constexpr std::uint32_t kSetVectors = 0xd518'c000;  // msr vbar_el1, x0
constexpr std::uint32_t kLoad = 0xf940'0022;        // ldr x2, [x1]
constexpr std::uint64_t kVectors = 0x20000;
constexpr std::uint64_t kSea = 0x24ULL << 26U | 1U << 25U | 1U << 9U | 0x10U;

/// Reads what EL1 has of its exception into x3 to x6, and goes on behind the instruction.
void add_handler(ArmMachine& m, std::uint64_t entry) {
  std::byte* at = m.memory.add_ram(kVectors) + entry;
  // mrs x3, esr_el1; mrs x4, far_el1; mrs x5, elr_el1; mrs x6, spsr_el1
  // add x7, x5, #4; msr elr_el1, x7; eret
  for (const std::uint32_t word : {0xd538'5203U, 0xd538'6004U, 0xd538'4025U, 0xd538'4006U,
                                   0x9100'10a7U, 0xd518'4027U, 0xd69f'03e0U}) {
    std::memcpy(at, &word, sizeof word);
    at += sizeof word;
  }
}

TEST(GuestArm, AnAbortThatItsOwnerGivesItGoesToItsVector) {
  ArmMachine m({kSetVectors, kLoad, kSmc});
  add_handler(m, 0x200);
  m.start([](auto& r) { r.x[0] = kVectors, r.x[1] = kData + 8, r.sp = 0x5000; });
  m.memory.emulate(kData);
  ASSERT_EQ(m.cpu->run().reason, ArmReason::kMmio);
  auto* const exceptions = dynamic_cast<hw::ArmExceptions*>(m.cpu->arm());
  ASSERT_NE(exceptions, nullptr);
  EXPECT_EQ(exceptions->take_abort(kSea, kData + 8).pc, kVectors + 0x200);
  ASSERT_EQ(m.cpu->run().reason, ArmReason::kGuestCall);
  const hw::ArmRegisters after = m.registers();
  EXPECT_EQ(after.x[2], 0U) << "the load is not made";
  EXPECT_EQ(after.x[3], kSea + (1ULL << 26U)) << "from the same level";
  EXPECT_EQ(after.x[4], kData + 8);
  EXPECT_EQ(after.x[5], kCode + 4);
  EXPECT_EQ(after.x[6] & 0xfU, 5U);
  EXPECT_EQ(after.sp, 0x5000U);
  EXPECT_EQ(after.pc, kCode + 12);
}

TEST(GuestArm, AnAbortOnTheStackOfEl0HasItsOwnVector) {
  // msr vbar_el1, x0; msr spsel, #0; ldr x2, [x1]
  ArmMachine m({kSetVectors, 0xd500'40bf, kLoad, kSmc});
  add_handler(m, 0);
  m.start([](auto& r) { r.x[0] = kVectors, r.x[1] = kData + 8; });
  m.memory.refuse(kData);
  ASSERT_EQ(m.cpu->run().reason, ArmReason::kGuestCall);
  EXPECT_EQ(m.registers().x[5], kCode + 8);
  EXPECT_EQ(m.registers().x[6] & 0xfU, 4U);
}

// Unicorn does not come from EL0 to EL1.
TEST(GuestArm, AnAbortOfEl0EndsTheGuest) {
  // msr vbar_el1, x0; msr spsr_el1, xzr; msr elr_el1, x8; eret; ldr x2, [x1]
  ArmMachine m({kSetVectors, 0xd518'401f, 0xd518'4028, 0xd69f'03e0, kLoad});
  add_handler(m, 0x400);
  m.start([](auto& r) { r.x[0] = kVectors, r.x[1] = kData + 8, r.x[8] = kCode + 16; });
  m.memory.refuse(kData);
  EXPECT_EQ(m.cpu->run().reason, ArmReason::kShutdown);
}

TEST(GuestArm, AnAccessWhereNothingIsIsAnAbortOfTheGuestsOwn) {
  ArmMachine m({kSetVectors, kLoad, kSmc});
  add_handler(m, 0x200);
  m.start([](auto& r) { r.x[0] = kVectors, r.x[1] = kData + 8; });
  m.memory.refuse(kData);
  ASSERT_EQ(m.cpu->run().reason, ArmReason::kGuestCall);
  EXPECT_EQ(m.registers().x[3], kSea + (1ULL << 26U));
  EXPECT_EQ(m.registers().x[5], kCode + 4);
}

TEST(GuestArm, AnAbortWithoutVectorsEndsTheGuest) {
  ArmMachine m({kLoad, kSmc});
  m.start([](auto& r) { r.x[1] = kData + 8; });
  m.memory.refuse(kData);
  EXPECT_EQ(m.cpu->run().reason, ArmReason::kShutdown);
}

TEST(GuestArm, AnAbortWhoseVectorIsNowhereEndsTheGuest) {
  ArmMachine m({kSetVectors, kLoad, kSmc});
  m.start([](auto& r) { r.x[0] = kVectors, r.x[1] = kData + 8; });
  m.memory.refuse(kData);
  m.memory.refuse(kVectors);
  EXPECT_EQ(m.cpu->run().reason, ArmReason::kShutdown);
}

TEST(GuestArm, EmulatedLoadsAndStoresExitOnceEach) {
  // ldr w0, [x1]; strh w0, [x1, #4]; ldrb w2, [x1, #1]
  ArmMachine m({0xb940'0020, 0x7900'0820, 0x3940'0422, kSmc});
  m.start([](auto& r) { r.x[1] = kData; });
  m.memory.emulate(kData);
  hw::CpuExit exit = m.cpu->run();
  ASSERT_EQ(exit.reason, ArmReason::kMmio);
  EXPECT_EQ(exit.size, 4);
  EXPECT_FALSE(exit.write);
  m.cpu->set_read_result(0x1122'3344'5566'7788);
  exit = m.cpu->run();
  ASSERT_EQ(exit.reason, ArmReason::kMmio);
  EXPECT_TRUE(exit.write);
  EXPECT_EQ(exit.size, 2);
  EXPECT_EQ(exit.data, 0x7788U);
  exit = m.cpu->run();
  ASSERT_EQ(exit.reason, ArmReason::kMmio);
  EXPECT_EQ(raw(exit.gpa), kData + 1);
  m.cpu->set_read_result(0x5a);
  ASSERT_EQ(m.cpu->run().reason, ArmReason::kGuestCall);
  EXPECT_EQ(m.registers().x[0], 0x5566'7788U);
  EXPECT_EQ(m.registers().x[2], 0x5aU);
}

TEST(GuestArm, APairOnTheBusReadsEachHalfOnce) {
  ArmMachine m({0xa940'0c22, kSmc});  // ldp x2, x3, [x1]
  m.start([](auto& r) { r.x[1] = kData; });
  m.memory.add_bus(kData);
  m.memory.next_read = 7;
  ASSERT_EQ(m.cpu->run().reason, ArmReason::kGuestCall);
  EXPECT_EQ(m.registers().x[2], 7U);
  EXPECT_EQ(m.registers().x[3], 7U);
  EXPECT_EQ(m.memory.bus.size(), 2U);
}

TEST(GuestArm, AFlushDropsWhatWasMapped) {
  ArmMachine m({0xf940'0022, kSmc, 0xf940'0022, kSmc});
  m.start([](auto& r) { r.x[1] = kData; });
  m.memory.add_ram(kData);
  ASSERT_EQ(m.cpu->run().reason, ArmReason::kGuestCall);
  m.memory.remove(kData);
  m.cpu->flush(Gpa{kData}, kPageSize);
  EXPECT_EQ(m.cpu->run().reason, ArmReason::kFault);
}

TEST(GuestArm, AKickAndALongRunComeBack) {
  ArmMachine m({0x1400'0000});  // b .
  m.cpu->kick();
  EXPECT_EQ(m.cpu->run().reason, ArmReason::kKicked);
  EXPECT_EQ(m.cpu->run().reason, ArmReason::kKicked);
}

TEST(GuestArm, ExceptionsEndInAShutdown) {
  EXPECT_EQ(ArmMachine({0x0000'0000}).cpu->run().reason, ArmReason::kShutdown);  // udf
  EXPECT_EQ(ArmMachine({0xd400'0001}).cpu->run().reason, ArmReason::kShutdown);  // svc
  EXPECT_EQ(ArmMachine({0xd400'0002}).cpu->run().reason, ArmReason::kShutdown);  // hvc
}

TEST(GuestArm, ACallToFirmwareIsUndefinedAtEl0) {
  // msr spsr_el1, x0; msr elr_el1, x1; eret
  ArmMachine m({0xd518'4000, 0xd518'4021, 0xd69f'03e0, kSmc});
  const auto below = [](std::uint64_t spsr) {
    return [spsr](auto& r) { r.x[0] = spsr, r.x[1] = kCode + 12; };
  };
  m.start(below(0));  // EL0t
  EXPECT_EQ(m.cpu->run().reason, ArmReason::kShutdown);
  ArmMachine same({0xd518'4000, 0xd518'4021, 0xd69f'03e0, kSmc});
  same.start(below(5));  // EL1h
  EXPECT_EQ(same.cpu->run().reason, ArmReason::kGuestCall);
}

TEST(GuestArm, InstructionsAreAligned) {
  // br x0, to a smc between two words
  ArmMachine m({0xd61f'0000, 0x0003'0000, 0x0000'd400});
  m.start([](auto& r) { r.x[0] = kCode + 6; });
  EXPECT_EQ(m.cpu->run().reason, ArmReason::kShutdown);
}

TEST(GuestArm, TheMmuStaysOff) {
  ArmMachine m({0xd518'1000});  // msr sctlr_el1, x0
  m.start([](auto& r) { r.x[0] = 1; });
  EXPECT_EQ(m.cpu->run().reason, ArmReason::kUnsupported);
}

TEST(GuestArm, TheCounterIsTheInstructionsThatRan) {
  ArmMachine one({0xd53b'e040, kSmc});  // mrs x0, cntvct_el0
  ArmMachine other({0xd53b'e040, kSmc});
  (void)one.cpu->run();
  (void)other.cpu->run();
  EXPECT_NE(one.registers().x[0], 0U);
  EXPECT_EQ(one.registers().x[0], other.registers().x[0]);
}

TEST(GuestArm, WhatIsNoTrapIsNone) {
  EXPECT_EQ(arm_trap(0xd503'201f).kind, ArmTrap::Kind::kNone);  // nop
  EXPECT_EQ(arm_trap(0xd538'1000).kind, ArmTrap::Kind::kNone);  // mrs x0, sctlr_el1
  EXPECT_EQ(arm_trap(0xd400'02a3).kind, ArmTrap::Kind::kFirmwareCall);
  EXPECT_EQ(arm_trap(0xd503'207f).kind, ArmTrap::Kind::kWait);
}

}  // namespace
}  // namespace teeio::guest
