#include <gtest/gtest.h>

#include "unit/guest/fake_memory.h"

// Guests whose private memory has a bit in its address (SEV's C-bit).

namespace teeio::guest {
namespace {

constexpr std::uint64_t kBit = std::uint64_t{1} << 51U;

TEST(PrivateBit, IsInEveryAddressWhilePagingIsOff) {
  Machine m;
  m.cpu->set_private_bit(kBit);
  m.memory.add_ram(kBit | Machine::kCode);
  m.memory.put(kBit | Machine::kCode, {0xa0, 0x00, 0x90, 0x00, 0x00, 0xf4});  // mov 0x9000,%al
  m.start32();
  const hw::CpuExit exit = m.cpu->run();
  ASSERT_EQ(exit.reason, Reason::kFault);
  EXPECT_EQ(raw(exit.gpa), kBit | 0x9000U);
}

// The tables' own entries decide about data; tables and code are private by themselves.
TEST(PrivateBit, IsTheTablesWordForDataOnly) {
  Machine m;
  for (const std::uint64_t page : {0x1000UL, 0x2000UL, 0x3000UL, 0x4000UL, 0x5000UL})
    m.memory.add_ram(kBit | page);
  m.memory.put_u64(kBit | 0x2000U, 0x3003);
  m.memory.put_u64(kBit | 0x3000U, 0x4003);
  m.memory.put_u64(kBit | 0x4000U, 0x5003);
  m.memory.put_u64(kBit | 0x5008U, 0x1003);
  m.memory.put_u64(kBit | 0x5048U, 0x9003);         // 0x9000 is shared
  m.memory.put_u64(kBit | 0x5050U, kBit | 0xa003);  // 0xa000 is private
  m.memory.add_ram(0x9000);
  m.memory.put_u64(0x9000, 0x11);
  m.memory.add_ram(kBit | 0xa000);
  m.memory.put_u64(kBit | 0xa000, 0x22);
  // mov 0x9000,%ebx; mov 0xa000,%ecx; hlt
  m.memory.put(kBit | Machine::kCode, {0x8b, 0x1c, 0x25, 0x00, 0x90, 0x00, 0x00, 0x8b, 0x0c, 0x25,
                                       0x00, 0xa0, 0x00, 0x00, 0xf4});
  m.start64();
  m.cpu->set_private_bit(kBit);
  EXPECT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rbx, 0x11U);
  EXPECT_EQ(m.cpu->registers().rcx, 0x22U);
}

TEST(PrivateBit, AnInstructionAboutAPageSaysWhichItIs) {
  Machine m;
  m.code({0xf2, 0x0f, 0x01, 0xff, 0xf4});  // pvalidate
  m.start64();
  m.alias(0x9000, kBit | 0x8003);
  m.with_registers([](auto& r) { r.rax = 0x9123; });
  hw::CpuExit exit = m.cpu->run();
  ASSERT_EQ(exit.reason, Reason::kGuestCall);
  EXPECT_EQ(exit.call, hw::GuestCall::kValidatePage);
  EXPECT_EQ(raw(exit.gpa), kBit | 0x8000U);
  EXPECT_EQ(m.cpu->registers().rip, Machine::kCode + 4);
  m.with_registers([](auto& r) { r.rip = Machine::kCode, r.rax = 0xffff'8000'0000'0000; });
  EXPECT_EQ(m.cpu->run().reason, Reason::kShutdown) << "the guest's own tables have no such page";
}

TEST(SharedRegister, IsTheGuestsAndItsOwners) {
  Machine m;
  constexpr std::uint32_t kNumber = 0xc001'0130;
  // mov $0xc0010130,%ecx; rdmsr; inc %eax; wrmsr; hlt
  m.code({0xb9, 0x30, 0x01, 0x01, 0xc0, 0x0f, 0x32, 0xff, 0xc0, 0x0f, 0x30, 0xf4});
  m.start64();
  EXPECT_EQ(m.cpu->msr(kNumber), std::nullopt);
  m.cpu->set_msr(kNumber, 0x12'0000'0041);
  EXPECT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->msr(kNumber), 0x12'0000'0042U);
}

}  // namespace
}  // namespace teeio::guest
