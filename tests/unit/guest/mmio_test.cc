#include <gtest/gtest.h>

#include "unit/guest/fake_memory.h"

namespace teeio::guest {
namespace {

constexpr std::uint64_t kBar = 0x9000;

TEST(GuestMmio, EmulatedReadsOfEverySizeTakeTheirAnswer) {
  Machine m;
  m.code(
      {0x0f, 0xb6, 0x07, 0x0f, 0xb7, 0x5f, 0x02, 0x8b, 0x4f, 0x04, 0x48, 0x8b, 0x57, 0x08, 0xf4});
  m.start64();
  m.memory.emulate(kBar);
  m.with_registers([](auto& r) { r.rdi = kBar; });
  const std::uint8_t sizes[] = {1, 2, 4, 8};
  const std::uint64_t offsets[] = {0, 2, 4, 8};
  for (std::size_t i = 0; i < 4; ++i) {
    const hw::CpuExit exit = m.cpu->run();
    ASSERT_EQ(exit.reason, Reason::kMmio) << i;
    EXPECT_EQ(raw(exit.gpa), kBar + offsets[i]);
    EXPECT_EQ(exit.size, sizes[i]);
    EXPECT_FALSE(exit.write);
    m.cpu->set_read_result(0x1122'3344'5566'7788);
  }
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  const hw::CpuRegisters r = m.cpu->registers();
  EXPECT_EQ(r.rax, 0x88U);
  EXPECT_EQ(r.rbx, 0x7788U);
  EXPECT_EQ(r.rcx, 0x5566'7788U);
  EXPECT_EQ(r.rdx, 0x1122'3344'5566'7788U);
}

TEST(GuestMmio, EmulatedWritesOfEverySizeExitOnce) {
  Machine m;
  m.code({0x88, 0x07, 0x66, 0x89, 0x47, 0x02, 0x89, 0x47, 0x04, 0x48, 0x89, 0x47, 0x08, 0xf4});
  m.start64();
  m.memory.emulate(kBar);
  m.with_registers([](auto& r) { r.rdi = kBar, r.rax = 0x1122'3344'5566'7788; });
  const std::uint64_t values[] = {0x88, 0x7788, 0x5566'7788, 0x1122'3344'5566'7788};
  for (const std::uint64_t value : values) {
    const hw::CpuExit exit = m.cpu->run();
    ASSERT_EQ(exit.reason, Reason::kMmio);
    EXPECT_TRUE(exit.write);
    EXPECT_EQ(exit.data, value);
  }
  EXPECT_EQ(m.cpu->run().reason, Reason::kHalt);
}

TEST(GuestMmio, ReadModifyWriteReadsOnceAndWritesOnce) {
  Machine m;
  m.code({0x83, 0x07, 0x01, 0xf4});  // addl $1,(%rdi)
  m.start64();
  m.memory.emulate(kBar);
  m.with_registers([](auto& r) { r.rdi = kBar; });
  hw::CpuExit exit = m.cpu->run();
  ASSERT_EQ(exit.reason, Reason::kMmio);
  EXPECT_FALSE(exit.write);
  m.cpu->set_read_result(41);
  exit = m.cpu->run();
  ASSERT_EQ(exit.reason, Reason::kMmio);
  EXPECT_TRUE(exit.write);
  EXPECT_EQ(exit.data, 42U);
  EXPECT_EQ(m.cpu->run().reason, Reason::kHalt);
}

// A BAR in the tables: no exit, and each access reaches the bus as it was made.
TEST(GuestMmio, MappedBarIsReachedAccessByAccess) {
  Machine m;
  m.code({0x0f, 0xb6, 0x07, 0x0f, 0xb7, 0x5f, 0x02, 0x8b, 0x4f, 0x04, 0x48, 0x8b, 0x57, 0x08, 0x83,
          0x07, 0x01, 0xf4});
  m.start64();
  m.memory.add_bus(kBar);
  m.memory.next_read = 0x8877'6655'4433'2211;
  m.with_registers([](auto& r) { r.rdi = kBar; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  const std::vector<FakeMemory::BusAccess> expected = {
      {kBar, 1, false, 0},     {kBar + 2, 2, false, 0}, {kBar + 4, 4, false, 0},
      {kBar + 8, 8, false, 0}, {kBar, 4, false, 0},     {kBar, 4, true, 0x4433'2212}};
  EXPECT_EQ(m.memory.bus, expected);
  EXPECT_EQ(m.cpu->registers().rdx, 0x8877'6655'4433'2211U);
}

// movsl from a register that may clear on read to a page that is missing: the
// register is read once although the instruction runs twice.
TEST(GuestMmio, AccessWithSideEffectsIsNotRepeatedAfterAFault) {
  Machine m;
  m.code({0xa5, 0xf4});
  m.start64();
  m.memory.add_bus(kBar);
  m.memory.next_read = 99;
  m.with_registers([](auto& r) { r.rsi = kBar, r.rdi = 0xa000; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kFault);
  m.memory.next_read = 0;
  m.memory.add_ram(0xa000);
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.memory.bus.size(), 1U);
  EXPECT_EQ(m.memory.get_u64(0xa000), 99U);
}

TEST(GuestMmio, KickBetweenExitAndCompletionLosesNothing) {
  Machine m;
  m.code({0x83, 0x07, 0x01, 0xf4});
  m.start64();
  m.memory.emulate(kBar);
  m.with_registers([](auto& r) { r.rdi = kBar; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kMmio);
  m.cpu->set_read_result(7);
  m.cpu->kick();
  ASSERT_EQ(m.cpu->run().reason, Reason::kKicked);
  m.cpu->flush(Gpa{kBar}, kPageSize);
  const hw::CpuExit exit = m.cpu->run();
  ASSERT_EQ(exit.reason, Reason::kMmio);
  EXPECT_TRUE(exit.write);
  EXPECT_EQ(exit.data, 8U);
}

// The page becomes private MMIO between two reads of one loop.
TEST(GuestMmio, EmulatedPageThatIsMappedLaterStopsExiting) {
  Machine m;
  m.code({0x8b, 0x07, 0x8b, 0x1f, 0xf4});  // mov (%rdi),%eax; mov (%rdi),%ebx; hlt
  m.start64();
  m.memory.emulate(kBar);
  m.with_registers([](auto& r) { r.rdi = kBar; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kMmio);
  m.cpu->set_read_result(1);
  m.memory.add_bus(kBar);
  m.memory.next_read = 2;
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rax, 1U);
  EXPECT_EQ(m.cpu->registers().rbx, 2U);
}

TEST(GuestMmio, CodeOnTheBusIsNotRun) {
  Machine m;
  m.start64();
  m.memory.add_bus(kBar);
  m.with_registers([](auto& r) { r.rip = kBar; });
  EXPECT_EQ(m.cpu->run().reason, Reason::kUnsupported);
}

}  // namespace
}  // namespace teeio::guest
