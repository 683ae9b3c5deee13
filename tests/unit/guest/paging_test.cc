#include <gtest/gtest.h>

#include "unit/guest/fake_memory.h"

namespace teeio::guest {
namespace {

constexpr std::uint64_t kSharedBit = 1ULL << 47U;

// As a TD starts: 32 bits, paging off, at the top of 4 GiB; the guest itself
// turns long mode on and reaches shared memory through a table entry with bit 47.
TEST(GuestPaging, TdStartsIn32BitsAndSwitchesToLongModeByItself) {
  Machine m;
  m.memory.add_ram(0xffff'f000);
  m.memory.put(0xffff'fff0, {0xb8, 0x00, 0x10, 0x00, 0x00, 0xff, 0xe0});  // jmp 0x1000
  m.code({0xb8, 0x00, 0x20, 0x00, 0x00, 0x0f, 0x22, 0xd8, 0x0f, 0x20, 0xe0, 0x83, 0xc8, 0x20,
          0x0f, 0x22, 0xe0, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0d, 0x00, 0x01, 0x00,
          0x00, 0x0f, 0x30, 0x0f, 0x01, 0x15, 0x00, 0x18, 0x00, 0x00, 0x0f, 0x20, 0xc0, 0x0d,
          0x00, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0, 0xea, 0x00, 0x11, 0x00, 0x00, 0x08, 0x00});
  m.memory.put(
      0x1100, {0x48, 0xbf, 0x08, 0x60, 0x00, 0x00, 0x00, 0x80, 0xff, 0xff, 0x48, 0x8b, 0x07, 0x48,
               0xbb, 0xf0, 0xde, 0xbc, 0x9a, 0x78, 0x56, 0x34, 0x12, 0x48, 0x89, 0x5f, 0x08, 0xf4});
  m.memory.put_u64(0x1800, 0x1900'000f);            // LGDT operand: limit 15, base 0x1900
  m.memory.put_u64(0x1908, 0x00af'9b00'0000'ffff);  // 64-bit code
  for (const std::uint64_t table : {0x2000UL, 0x3000UL, 0x4000UL, 0x5000UL})
    m.memory.add_ram(table);
  m.memory.put_u64(0x2000, 0x3003);
  m.memory.put_u64(0x2800, 0x3003);  // the upper half as well
  m.memory.put_u64(0x3000, 0x4003);
  m.memory.put_u64(0x4000, 0x5003);
  m.memory.put_u64(0x5008, 0x1003);
  m.memory.put_u64(0x5030, kSharedBit | 0x6003);
  m.memory.add_ram(kSharedBit | 0x6000);
  m.memory.put_u64((kSharedBit | 0x6000) + 8, 0xfeed);

  // A TD's: PE, ET, NE; MCE, VMXE; SCE, LME, NXE.
  m.cpu->start_flat({.cr0 = 0x31,
                     .cr4 = 0x2040,
                     .efer = 0x901,
                     .registers = {.rcx = 0x77, .r8 = 0x77, .rip = 0xffff'fff0}});
  EXPECT_EQ(m.cpu->registers().rcx, 0x77U);
  EXPECT_EQ(m.cpu->registers().r8, 0x77U);
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rax, 0xfeedU);
  EXPECT_EQ(m.memory.get_u64((kSharedBit | 0x6000) + 0x10), 0x1234'5678'9abc'def0U);
  const SpecialRegisters now = m.special();
  EXPECT_EQ(now.cs.selector, 8);
  EXPECT_EQ(now.cs.l, 1);
  EXPECT_NE(now.efer & kEferLongModeActive, 0U);
  EXPECT_NE(now.cr0 & kCr0Paging, 0U);
}

TEST(GuestPaging, SharedPageThatIsMissingFaultsWithTheSharedBit) {
  Machine m;
  m.code({0x48, 0x8b, 0x07, 0xf4});
  m.start64();
  m.alias(0x9000, kSharedBit | 0x9003);
  m.with_registers([](auto& r) { r.rdi = 0x9000; });
  const hw::CpuExit exit = m.cpu->run();
  EXPECT_EQ(exit.reason, Reason::kFault);
  EXPECT_EQ(raw(exit.gpa), kSharedBit | 0x9000);
}

TEST(GuestPaging, WalkSetsAccessedAndDirty) {
  Machine m;
  m.code({0x88, 0x07, 0xf4});
  m.start64();
  m.memory.add_ram(0x9000);
  m.with_registers([](auto& r) { r.rdi = 0x9000; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.memory.get_u64(0x5000 + 8 * 9) & 0x60, 0x60U);
  EXPECT_EQ(m.memory.get_u64(0x5000 + 8 * 1) & 0x60, 0x20U) << "code was only read";
}

TEST(GuestPaging, MissingTableIsAFaultOfTheTable) {
  Machine m;
  m.code({0x48, 0x8b, 0x07, 0xf4});
  m.start64();
  m.memory.put_u64(0x2000 + 8, 0x7003);
  m.with_registers([](auto& r) { r.rdi = 1ULL << 39U; });
  const hw::CpuExit exit = m.cpu->run();
  ASSERT_EQ(exit.reason, Reason::kFault);
  EXPECT_EQ(raw(exit.gpa), 0x7000U);
}

TEST(GuestPaging, NotPresentIsAPageFaultThatNobodyTakes) {
  Machine m;
  m.code({0x48, 0x8b, 0x07, 0xf4});
  m.start64();
  m.alias(0x9000, 0);
  m.with_registers([](auto& r) { r.rdi = 0x9000; });
  EXPECT_EQ(m.cpu->run().reason, Reason::kShutdown);
}

TEST(GuestPaging, NewCr3TakesEffectAtOnce) {
  Machine m;
  m.code({0x48, 0x8b, 0x07, 0x0f, 0x22, 0xde, 0x48, 0x8b, 0x1f, 0xf4});
  m.start64();
  for (const std::uint64_t page : {0x9000UL, 0xa000UL, 0xb000UL, 0xc000UL, 0xd000UL, 0xe000UL})
    m.memory.add_ram(page);
  m.memory.put_u64(0x9000, 1);
  m.memory.put_u64(0xa000, 2);
  m.memory.put_u64(0xb000, 0xc003);
  m.memory.put_u64(0xc000, 0xd003);
  m.memory.put_u64(0xd000, 0xe003);
  m.memory.put_u64(0xe000 + 8 * 1, 0x1003);
  m.memory.put_u64(0xe000 + 8 * 9, 0xa003);
  m.with_registers([](auto& r) { r.rdi = 0x9000, r.rsi = 0xb000; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rax, 1U);
  EXPECT_EQ(m.cpu->registers().rbx, 2U);
}

TEST(GuestPaging, InvlpgForgetsTheOldTranslation) {
  Machine m;
  m.code({0x48, 0x8b, 0x07, 0x48, 0x89, 0x0e, 0x0f, 0x01, 0x3f, 0x48, 0x8b, 0x1f, 0xf4});
  m.start64();
  m.memory.add_ram(0x9000);
  m.memory.add_ram(0xa000);
  m.memory.put_u64(0x9000, 1);
  m.memory.put_u64(0xa000, 2);
  m.with_registers([](auto& r) { r.rdi = 0x9000, r.rsi = 0x5000 + 8 * 9, r.rcx = 0xa003; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rax, 1U);
  EXPECT_EQ(m.cpu->registers().rbx, 2U);
}

TEST(GuestPaging, LargePageCoversItsRange) {
  Machine m;
  m.code({0x48, 0x8b, 0x07, 0xf4});
  m.start64();
  m.memory.put_u64(0x4000 + 8, 0x40'0083);  // linear 2 MiB..4 MiB at 4 MiB
  m.memory.add_ram(0x41'2000);
  m.memory.put_u64(0x41'2000, 9);
  m.with_registers([](auto& r) { r.rdi = 0x21'2000; });
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rax, 9U);
}

TEST(SpecialRegistersTest, WhatIsSetIsReadBack) {
  Machine m;
  SpecialRegisters special = protected_mode();
  special.efer = 0;
  special.cs.selector = 0x10;
  special.ds.selector = 0x18;
  special.gdt = {0x1234'5000, 0x7f, {}};
  special.cr8 = 3;
  m.start(special);
  const SpecialRegisters now = m.special();
  EXPECT_EQ(now.cs, special.cs);
  EXPECT_EQ(now.ds, special.ds);
  EXPECT_EQ(now.gdt.base, special.gdt.base);
  EXPECT_EQ(now.gdt.limit, special.gdt.limit);
  EXPECT_EQ(now.cr8, 3U);
  EXPECT_EQ(now.cr0, special.cr0);
}

// Each of these was refused by Linux 7.3 as well.
TEST(SpecialRegistersTest, StatesThatCannotBeAreRefused) {
  Machine m;
  const auto refused = [&m](auto change) {
    SpecialRegisters special = protected_mode();
    change(special);
    const auto set = m.cpu->set_special(bytes_of(special));
    return !set.has_value() && set.error().code == Errno::kInval;
  };
  EXPECT_FALSE(refused([](SpecialRegisters&) {}));
  EXPECT_TRUE(refused([](SpecialRegisters& s) { s.cr0 |= kCr0Paging; })) << "LME without PAE, LMA";
  EXPECT_TRUE(refused([](SpecialRegisters& s) { s.cr0 = kCr0Paging, s.efer = 0; })) << "no PE";
  EXPECT_TRUE(refused([](SpecialRegisters& s) { s.cr0 |= 1U << 29U; })) << "NW without CD";
  EXPECT_TRUE(refused([](SpecialRegisters& s) { s.cr0 |= 1ULL << 32U; }));
  EXPECT_TRUE(refused([](SpecialRegisters& s) { s.cr4 |= 1ULL << 40U; }));
  EXPECT_TRUE(refused([](SpecialRegisters& s) { s.efer |= 1ULL << 60U; }));
  EXPECT_TRUE(refused([](SpecialRegisters& s) { s.efer |= kEferLongModeActive; }));
  EXPECT_TRUE(refused([](SpecialRegisters& s) { s.cs.l = 1; }));
  EXPECT_FALSE(m.cpu->set_special(bytes_of(protected_mode()).first(100)).has_value());
}

TEST(SpecialRegistersTest, FsAndGsKeepSelectorAndBase) {
  Machine m;
  m.code({0x64, 0xa1, 0x10, 0x00, 0x00, 0x00, 0xf4});  // mov %fs:0x10,%eax; hlt
  SpecialRegisters special = protected_mode();
  special.efer = 0;
  special.fs.selector = 0x28;
  special.fs.base = 0x9000;
  special.gs.base = 0x1234;
  m.memory.add_ram(0x9000);
  m.memory.put_u64(0x9010, 0x77);
  m.start(special);
  EXPECT_EQ(m.special().fs, special.fs);
  EXPECT_EQ(m.special().gs, special.gs);
  ASSERT_EQ(m.cpu->run().reason, Reason::kHalt);
  EXPECT_EQ(m.cpu->registers().rax, 0x77U);
}

// What a program gives is not ours to trust: it gets a VM that does not run.
TEST(SpecialRegistersTest, SegmentThatNoProcessorLoadsEndsInShutdown) {
  Machine m;
  m.code({0xf4});
  SpecialRegisters special = protected_mode();
  special.efer = 0;
  special.ss.type = 0xb;  // code
  m.start(special);
  EXPECT_EQ(m.cpu->run().reason, Reason::kShutdown);
  special.ss.type = 3;
  m.start(special);
  EXPECT_EQ(m.cpu->run().reason, Reason::kHalt);
}

TEST(SpecialRegistersTest, DescriptorRoundTrip) {
  Segment segment = protected_mode().cs;
  segment.base = 0x1234'5678;
  segment.limit = 0x00ab'cfff;
  EXPECT_EQ(segment_of(descriptor_of(segment), segment.selector), segment);
}

}  // namespace
}  // namespace teeio::guest
