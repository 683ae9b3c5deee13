#include <gtest/gtest.h>

#include "schedule/task.h"
#include "unit/guest/fake_memory.h"

namespace teeio::guest {
namespace {

TEST(GuestCpu, HaltLeavesRipBehindTheInstruction) {
  Machine m;
  m.code({0x31, 0xc0, 0xb9, 0x0a, 0x00, 0x00, 0x00, 0x01, 0xc8, 0xe2, 0xfc, 0xf4});
  m.start32();
  EXPECT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rax, 55U);
  EXPECT_EQ(m.cpu->registers().rip, Machine::kCode + 12);
}

// push to a missing stack page, then a load from a missing page: each
// instruction has no effect before its page is there.
TEST(GuestCpu, FaultIsRetriedOnceTheMappingAppears) {
  Machine m;
  m.code({0xbc, 0x00, 0x60, 0x00, 0x00, 0x50, 0x8b, 0x1d, 0x00, 0x70, 0x00, 0x00, 0xf4});
  m.start32();
  m.with_registers([](auto& r) { r.rax = 0x1234; });
  hw::CpuExit exit = m.cpu->run();
  ASSERT_EQ(exit.reason, Reason::kFault);
  EXPECT_EQ(raw(exit.gpa), 0x5ffcU);
  EXPECT_EQ(exit.access, hw::GuestAccess::kWrite);
  EXPECT_EQ(m.cpu->registers().rsp, 0x6000U);
  EXPECT_EQ(m.cpu->registers().rip, Machine::kCode + 5);

  m.memory.add_ram(0x5000);
  exit = m.cpu->run();
  ASSERT_EQ(exit.reason, Reason::kFault);
  EXPECT_EQ(raw(exit.gpa), 0x7000U);
  EXPECT_EQ(exit.access, hw::GuestAccess::kRead);
  EXPECT_EQ(m.cpu->registers().rsp, 0x5ffcU);

  m.memory.add_ram(0x7000);
  m.memory.put_u64(0x7000, 77);
  EXPECT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rbx, 77U);
  EXPECT_EQ(m.memory.get_u64(0x5ff8) >> 32U, 0x1234U);
}

TEST(GuestCpu, FetchFromNowhereIsAFault) {
  Machine m;
  m.start32();
  m.with_registers([](auto& r) { r.rip = 0x9000; });
  const hw::CpuExit exit = m.cpu->run();
  EXPECT_EQ(exit.reason, Reason::kFault);
  EXPECT_EQ(exit.access, hw::GuestAccess::kFetch);
  EXPECT_EQ(raw(exit.gpa), 0x9000U);
}

// xor, cmp, store to a missing page, setb: the flags of the cmp survive.
TEST(GuestCpu, FlagsSurviveAFault) {
  Machine m;
  m.code({0x31, 0xc0, 0x83, 0xf8, 0x01, 0x89, 0x07, 0x0f, 0x92, 0xc3, 0xf4});
  m.start64();
  m.with_registers([](auto& r) { r.rdi = 0x9000; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kFault);
  m.memory.add_ram(0x9000);
  EXPECT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rbx & 0xff, 1U);
}

TEST(GuestCpu, WriteToAReadOnlyPageFaultsUntilItIsWritable) {
  Machine m;
  m.code({0x88, 0x07, 0xf4});  // mov %al,(%rdi)
  m.start64();
  m.memory.add_ram(0x9000, /*writable=*/false);
  m.with_registers([](auto& r) { r.rdi = 0x9000, r.rax = 5; });
  const hw::CpuExit exit = m.cpu->run();
  ASSERT_EQ(exit.reason, Reason::kFault);
  EXPECT_EQ(exit.access, hw::GuestAccess::kWrite);
  EXPECT_EQ(m.memory.get_u64(0x9000), 0U);
  m.memory.make_writable(0x9000);
  EXPECT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.memory.get_u64(0x9000), 5U);
}

TEST(GuestCpu, PortsExitWithSizeAndValueAndTakeAnAnswer) {
  Machine m;
  m.code({0x66, 0xba, 0xf8, 0x03, 0xb8, 0x34, 0x12, 0x00, 0x00, 0x66, 0xef, 0xe4, 0x60, 0xf4});
  m.start32();
  hw::CpuExit exit = m.cpu->run();
  ASSERT_EQ(exit.reason, Reason::kIo);
  EXPECT_TRUE(exit.write);
  EXPECT_EQ(exit.port, 0x3f8);
  EXPECT_EQ(exit.size, 2);
  EXPECT_EQ(exit.data, 0x1234U);
  m.cpu->complete_io(0);
  exit = m.cpu->run();
  ASSERT_EQ(exit.reason, Reason::kIo);
  EXPECT_FALSE(exit.write);
  EXPECT_EQ(exit.port, 0x60);
  EXPECT_EQ(exit.size, 1);
  m.cpu->complete_io(0xfff);
  EXPECT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rax, 0x12ffU);
}

TEST(GuestCpu, TdcallPassesRegistersBothWays) {
  Machine m;
  m.code({0x66, 0x0f, 0x01, 0xcc, 0x4c, 0x89, 0xdb, 0xf4});
  m.start64();
  m.with_registers([](auto& r) { r.rax = 66, r.rcx = 0x100; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kGuestCall);
  EXPECT_EQ(m.cpu->registers().rax, 66U);
  EXPECT_EQ(m.cpu->registers().rcx, 0x100U);
  m.with_registers([](auto& r) { r.rax = 0, r.r11 = 0xabc; });
  EXPECT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rbx, 0xabcU);
}

TEST(GuestCpu, KickBeforeRunStopsThatRunOnly) {
  Machine m;
  m.code({0xf4});
  m.start32();
  m.cpu->kick();
  EXPECT_EQ(m.cpu->run().reason, Reason::kKicked);
  EXPECT_EQ(m.cpu->run().reason, Reason::kHalt);
}

TEST(GuestCpu, KickFromAnotherTaskEndsALoop) {
  Machine m;
  m.code({0x40, 0xeb, 0xfd});
  m.start32();
  auto kicker = schedule::Task::spawn("kicker", [&m] { m.cpu->kick(); });
  EXPECT_EQ(m.cpu->run().reason, Reason::kKicked);
  kicker.join();
}

TEST(GuestCpu, FlushFromAnotherTaskMakesTheNextAccessFault) {
  Machine m;
  m.code({0xa1, 0x00, 0x60, 0x00, 0x00, 0xeb, 0xf9});
  m.memory.add_ram(0x6000);
  m.start32();
  m.cpu->kick();
  ASSERT_EQ(m.cpu->run().reason, Reason::kKicked);
  m.memory.remove(0x6000);
  auto shooter = schedule::Task::spawn("shooter", [&m] { m.cpu->flush(Gpa{0x6000}, kPageSize); });
  const hw::CpuExit exit = m.cpu->run();
  EXPECT_EQ(exit.reason, Reason::kFault);
  EXPECT_EQ(raw(exit.gpa), 0x6000U);
  shooter.join();
}

// The call has pushed when the page that it goes to is found missing.
TEST(GuestCpu, CallToANewPagePushesOnceOntoARemoteStack) {
  constexpr std::uint64_t kStack = 0x8000;
  constexpr std::uint64_t kCallee = 0xa000;
  Machine m;
  m.code({0xe8, 0xfb, 0x8f, 0x00, 0x00});  // call kCallee
  m.start64();
  m.memory.add_ram(kStack);
  m.memory.make_remote(kStack);
  m.memory.add_ram(kCallee);
  m.memory.put(kCallee, {0x50, 0xf4});  // push %rax; hlt
  m.with_registers([](auto& r) { r.rsp = kStack + 0x800, r.rax = 0x1122'3344; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rsp, kStack + 0x7f0);
  EXPECT_EQ(m.memory.get_u64(kStack + 0x7f8), Machine::kCode + 5);
  EXPECT_EQ(m.memory.get_u64(kStack + 0x7f0), 0x1122'3344U);
}

// The same linear page with other code behind it: what was translated is gone.
TEST(GuestCpu, RemappedCodePageRunsTheNewCode) {
  Machine m;
  m.code({0xb8, 0x00, 0x40, 0x00, 0x00, 0xff, 0xd0, 0xf4});
  m.memory.add_ram(0x8000);
  m.memory.add_ram(0x4000);
  m.memory.put(0x4000, {0xbb, 0x07, 0x00, 0x00, 0x00, 0xc3});
  m.start32();
  m.with_registers([](auto& r) { r.rsp = 0x9000; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rbx, 7U);

  m.memory.add_ram(0x4000);
  m.memory.put(0x4000, {0xbb, 0x09, 0x00, 0x00, 0x00, 0xc3});
  m.cpu->flush(Gpa{0x4000}, kPageSize);
  m.with_registers([](auto& r) { r.rip = Machine::kCode; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rbx, 9U);
}

// movb into the instruction stream ahead: inc %eax becomes inc %edx.
TEST(GuestCpu, CodeThatChangesItselfRunsAsChanged) {
  Machine m;
  m.code(
      {0xc6, 0x05, 0x0d, 0x10, 0x00, 0x00, 0x42, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x40, 0xf4});
  m.start32();
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rdx, 1U);
  EXPECT_EQ(m.cpu->registers().rax, 0U);
}

TEST(GuestCpu, RemoteMemoryHoldsCodeAndData) {
  Machine m;
  // mov (%rdi),%eax; mov %rax,8(%rdi); hlt
  m.code({0x8b, 0x07, 0x48, 0x89, 0x47, 0x08, 0xf4});
  m.memory.put_u64(Machine::kCode + 0x100, 0x1234);
  m.memory.make_remote(Machine::kCode);
  m.start64();
  m.with_registers([](auto& r) { r.rdi = Machine::kCode + 0x100; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rax, 0x1234U);
  EXPECT_EQ(m.memory.get_u64(Machine::kCode + 0x108), 0x1234U);
}

TEST(GuestCpu, RemoteCodeThatChangedBetweenRunsRunsAsChanged) {
  Machine m;
  m.code({0xb0, 0x01, 0xf4});  // mov $1,%al; hlt
  m.memory.make_remote(Machine::kCode);
  m.start64();
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  m.code({0xb0, 0x02, 0xf4});
  m.with_registers([](auto& r) { r.rip = Machine::kCode; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rax, 2U);
}

TEST(GuestCpu, ExceptionIsATripleFault) {
  Machine m;
  m.code({0x0f, 0x0b});
  m.start32();
  EXPECT_EQ(m.cpu->run().reason, Reason::kShutdown);
}

TEST(GuestCpu, ResetStateIsNotRunUntilSegmentsAreFlat) {
  Machine m;
  EXPECT_EQ(m.cpu->run().reason, Reason::kUnsupported);
}

// 16-bit code as a first test of KVM starts it: segment bases 0, real mode.
TEST(GuestCpu, RealModeCodeRuns) {
  Machine m;
  m.code({0xb8, 0x34, 0x12, 0xe7, 0x10, 0xf4});  // mov $0x1234,%ax; out %ax,$0x10; hlt
  SpecialRegisters special = m.special();
  special.cs.base = 0;
  special.cs.selector = 0;
  m.start(special);
  const hw::CpuExit exit = m.cpu->run();
  ASSERT_EQ(exit.reason, Reason::kIo);
  EXPECT_EQ(exit.size, 2);
  EXPECT_EQ(exit.data, 0x1234U);
  m.cpu->complete_io(0);
  EXPECT_EQ(m.cpu->run().reason, Reason::kHalt);
}

}  // namespace
}  // namespace teeio::guest
