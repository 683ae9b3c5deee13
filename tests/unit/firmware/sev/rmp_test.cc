#include "firmware/sev/rmp.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

#include "base/check.h"
#include "explore/dpor.h"
#include "explore/exploration.h"
#include "schedule/monitor.h"
#include "schedule/task.h"
#include "unit/firmware/sev/large_pages.h"

namespace teeio::sev {
namespace {

using hw::TBit;

class RmpTest : public testing::Test {
 protected:
  static constexpr Asid kAsid = 5;
  static constexpr Gpa kGpa{0x4000'0000};
  static constexpr Hpa kBar{0x8000'0000};

  /// A BAR's place on the bus; nobody accesses it.
  struct Silent final : hw::MmioTarget {
    void mmio_read(std::uint64_t, std::span<std::byte>) override {}
    void mmio_write(std::uint64_t, ByteView) override {}
  };

  RmpTest() { EXPECT_TRUE(memory.claim_mmio(kBar, 2 * kRmp2M, bar)); }

  RmpStatus give(Hpa at, Asid asid = kAsid, Gpa gpa = kGpa, bool immutable = false,
                 RmpSize size = RmpSize::k4K) {
    return rmp.update(
        at, {.assigned = true, .immutable = immutable, .size = size, .asid = asid, .gpa = gpa});
  }
  RmpStatus take(Hpa at, RmpSize size = RmpSize::k4K) { return rmp.update(at, {.size = size}); }
  std::byte first_byte(hw::KeyId key) {
    std::array<std::byte, 1> byte{};
    EXPECT_TRUE(memory.read(page, byte, key));
    return byte[0];
  }

  hw::PhysicalMemory memory{1U << 24U};
  Silent bar;
  Rmp rmp{memory};
  Hpa page = *memory.alloc_page();
};

TEST_F(RmpTest, WhatAGuestsKeyHasEncryptedNobodyElseReads) {
  constexpr std::array kSecret{std::byte{0x5e}};
  for (const Asid next : {Asid{0}, Asid{6}}) {
    ASSERT_EQ(give(page), RmpStatus::kSuccess);
    ASSERT_TRUE(memory.write(page, kSecret, hw::KeyId{kAsid}));
    // The firmware's, and another guest's with the bytes that launch would encrypt.
    ASSERT_EQ(give(page, next, next == 0 ? Gpa{0} : kGpa, next != 0), RmpStatus::kSuccess);
    EXPECT_EQ(first_byte(hw::KeyId{static_cast<std::uint16_t>(next)}), std::byte{0}) << next;
    page = *memory.alloc_page();
  }
}

TEST_F(RmpTest, TheNextGuestOfAnAsidHasAnotherKey) {
  constexpr std::array kSecret{std::byte{0x5e}};
  ASSERT_EQ(give(page), RmpStatus::kSuccess);
  ASSERT_TRUE(memory.write(page, kSecret, hw::KeyId{kAsid}));
  rmp.lose_key(kAsid + 1);
  EXPECT_EQ(first_byte(hw::KeyId{kAsid}), kSecret[0]);
  rmp.lose_key(kAsid);
  EXPECT_EQ(first_byte(hw::KeyId{kAsid}), std::byte{0});
}

// What the end of a key loses depends on what has it: both orders are different ones.
TEST(Rmp, TheEndOfAKeyAndAPageThatComesToItAreExploredInBothOrders) {
  constexpr Asid kEnding = 5;
  constexpr std::array kText{std::byte{0x7e}};
  std::set<std::byte> ends;
  explore::Dpor strategy;
  const auto result = explore::run_schedules(
      strategy,
      [&ends, kText] {
        hw::PhysicalMemory memory(1U << 24U);
        schedule::Monitor monitor(schedule::Rank::kFirmware);
        Rmp rmp(memory);
        rmp.record(monitor);
        const Hpa page = *memory.alloc_page();
        TEEIO_CHECK(memory.write(page, kText).has_value(), "a page of plain text");
        schedule::Task host = schedule::Task::spawn("host", [&] {
          (void)rmp.update(page, {.assigned = true, .immutable = true, .asid = kEnding});
        });
        schedule::Task firmware = schedule::Task::spawn("firmware", [&] {
          const schedule::Section section(monitor, schedule::Section::kByParts);
          rmp.lose_key(kEnding);
        });
        host.join();
        firmware.join();
        std::array<std::byte, 1> left{};
        TEEIO_CHECK(memory.read(page, left, hw::KeyId{kEnding}).has_value(), "it is the guest's");
        ends.insert(left[0]);
      },
      1000);
  EXPECT_TRUE(result.exhausted);
  EXPECT_EQ(ends, (std::set{std::byte{0}, kText[0]}));
}

/// How many orders a host's instruction and something else have.
template <class Prepare, class First, class Second>
std::uint64_t orders_of(const Prepare& prepare, const First& first, const Second& second) {
  explore::Dpor strategy;
  const auto result = explore::run_schedules(
      strategy,
      [&] {
        hw::PhysicalMemory memory(1U << 24U);
        schedule::Monitor monitor(schedule::Rank::kFirmware);
        Rmp rmp(memory);
        rmp.record(monitor);
        const Hpa pages = prepare(memory, rmp);
        schedule::Task one = schedule::Task::spawn("one", [&] { first(rmp, pages); });
        schedule::Task two = schedule::Task::spawn("two", [&] {
          const schedule::Section section(monitor, schedule::Section::kByParts);
          second(rmp, pages);
        });
        one.join();
        two.join();
      },
      1000);
  EXPECT_TRUE(result.exhausted && !result.bad);
  return result.schedules;
}

TEST(Rmp, WhatLeavesEachOtherAloneHasOneOrder) {
  constexpr Asid kEnding = 5, kOther = 6;
  const auto pages = [](hw::PhysicalMemory& memory, Rmp&) { return *memory.alloc_page(); };
  const auto take = [](Rmp& rmp, Hpa page) {
    (void)rmp.update(page, {.assigned = true, .asid = kOther});
  };
  const auto split = [](Rmp& rmp, Hpa page) { (void)rmp.psmash(page); };
  EXPECT_EQ(orders_of(pages, take, [](Rmp& rmp, Hpa) { rmp.lose_key(kEnding); }), 1U);
  EXPECT_EQ(orders_of(pages, take, [](Rmp& rmp, Hpa) { rmp.lose_key(kOther); }), 2U);
  // A page beside it, where nothing of 2 MiB is.
  EXPECT_EQ(orders_of(pages, take, [&](Rmp& rmp, Hpa page) { split(rmp, page + kPageSize); }), 1U);
  const auto one_large = [](hw::PhysicalMemory& memory, Rmp& rmp) {
    return large_firmware_pages(memory, rmp);
  };
  const auto look = [](Rmp& rmp, Hpa page) { (void)rmp.entry(page + kPageSize); };
  EXPECT_EQ(orders_of(one_large, look, split), 1U) << "it is immutable";
}

TEST(Rmp, AnEntryThatIsSplitIsSeenBeforeAndAfter) {
  const auto one_large = [](hw::PhysicalMemory& memory, Rmp& rmp) {
    const Hpa base = large_firmware_pages(memory, rmp);
    rmp.let_go(base);
    return base;
  };
  EXPECT_EQ(orders_of(
                one_large, [](Rmp& rmp, Hpa page) { (void)rmp.psmash(page); },
                [](Rmp& rmp, Hpa page) { (void)rmp.entry(page + kPageSize); }),
            2U);
}

// SNP_DECOMMISSION: what was in a guest's context is nobody's to read.
TEST_F(RmpTest, AContextPageIsGivenBackEmpty) {
  constexpr std::array kSecret{std::byte{0x5e}};
  ASSERT_EQ(give(page, 0, Gpa{0}, true), RmpStatus::kSuccess);
  rmp.make_context(page);
  ASSERT_TRUE(memory.write(page, kSecret, memory.key_of(page)));
  rmp.leave_context(page);
  EXPECT_EQ(memory.key_of(page), hw::KeyId::kShared);
  EXPECT_EQ(first_byte(hw::KeyId::kShared), std::byte{0});
}

// RMPUPDATE of what is shared already: rmp_make_shared() of a page that nobody has.
TEST_F(RmpTest, APageOfTheHostsThatIsMadeSharedKeepsWhatItHas) {
  constexpr std::array kText{std::byte{0x7e}};
  ASSERT_TRUE(memory.write(page, kText));
  EXPECT_EQ(take(page), RmpStatus::kSuccess);
  EXPECT_EQ(first_byte(hw::KeyId::kShared), kText[0]);
  EXPECT_EQ(rmp.assigned(), 0U);
}

TEST_F(RmpTest, EachStateHasItsEntry) {
  EXPECT_EQ(rmp.state(page), PageState::kHypervisor);
  ASSERT_EQ(give(page, 0, Gpa{0}, true), RmpStatus::kSuccess);
  EXPECT_EQ(rmp.state(page), PageState::kFirmware);
  rmp.make_context(page);
  EXPECT_EQ(rmp.state(page), PageState::kContext);
  rmp.leave_context(page);
  rmp.reclaim(page);
  EXPECT_EQ(rmp.state(page), PageState::kReclaim);
  ASSERT_EQ(give(page, kAsid, kGpa, true), RmpStatus::kSuccess);
  EXPECT_EQ(rmp.state(page), PageState::kPreGuest);
  rmp.hand_to_guest(page, false);
  EXPECT_EQ(rmp.state(page), PageState::kGuestValid);
  ASSERT_TRUE(rmp.pvalidate(kAsid, kGpa, page, RmpSize::k4K, false));
  EXPECT_EQ(rmp.state(page), PageState::kGuestInvalid);
  ASSERT_EQ(take(page), RmpStatus::kSuccess);
  EXPECT_EQ(rmp.state(page), PageState::kHypervisor);
  EXPECT_EQ(rmp.assigned(), 0U);
}

TEST_F(RmpTest, EachBadUpdateIsRefusedWithItsStatus) {
  EXPECT_EQ(give(page + 1), RmpStatus::kFailInput);
  EXPECT_EQ(give(Hpa{0x1000}), RmpStatus::kFailInput) << "nothing is there";
  EXPECT_EQ(give(page, kAsid, kGpa + 8), RmpStatus::kFailInput);
  EXPECT_EQ(give(page, Rmp::kMaxAsid + 1), RmpStatus::kFailInput);
  EXPECT_EQ(give(page, 0, kGpa), RmpStatus::kFailInput) << "an address without an ASID";
  EXPECT_EQ(rmp.update(page, {.asid = kAsid, .gpa = kGpa}), RmpStatus::kFailInput);
  EXPECT_EQ(give(kBar + kPageSize, kAsid, kGpa, false, RmpSize::k2M), RmpStatus::kFailInput);
  ASSERT_EQ(give(page, kAsid, kGpa, true), RmpStatus::kSuccess);
  EXPECT_EQ(take(page), RmpStatus::kFailPermission);
  EXPECT_EQ(give(page), RmpStatus::kFailPermission);
}

TEST_F(RmpTest, AnUpdateTakesTheGuestsValidationAway) {
  ASSERT_EQ(give(page), RmpStatus::kSuccess);
  ASSERT_TRUE(rmp.pvalidate(kAsid, kGpa, page, RmpSize::k4K, true));
  ASSERT_EQ(rmp.check_guest(kAsid, kGpa, page, RmpAccess::kRead), std::nullopt);
  ASSERT_EQ(give(page), RmpStatus::kSuccess) << "the same entry once more";
  EXPECT_EQ(rmp.check_guest(kAsid, kGpa, page, RmpAccess::kRead), RmpFault::kNotValidated);
}

TEST_F(RmpTest, SizesThatOverlapAreRefused) {
  ASSERT_EQ(give(kBar, kAsid, kGpa, false, RmpSize::k2M), RmpStatus::kSuccess);
  EXPECT_EQ(give(kBar + kPageSize), RmpStatus::kFailOverlap);
  EXPECT_EQ(take(kBar), RmpStatus::kFailOverlap) << "as 4 KiB";
  EXPECT_EQ(rmp.entry(kBar + kPageSize).size, RmpSize::k2M);
  ASSERT_EQ(rmp.psmash(kBar), RmpStatus::kSuccess);
  EXPECT_EQ(rmp.assigned(), kRmp2M / kPageSize);
  EXPECT_EQ(rmp.entry(kBar + kPageSize).gpa, kGpa + kPageSize);
  EXPECT_EQ(rmp.psmash(kBar), RmpStatus::kFailInput);
  EXPECT_EQ(give(kBar, kAsid, kGpa, false, RmpSize::k2M), RmpStatus::kFailOverlap);
  EXPECT_EQ(take(kBar + kPageSize), RmpStatus::kSuccess);
}

TEST_F(RmpTest, PvalidateSaysWhetherTheBitChanged) {
  ASSERT_EQ(give(page), RmpStatus::kSuccess);
  const auto first = rmp.pvalidate(kAsid, kGpa, page, RmpSize::k4K, true);
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->changed);
  EXPECT_FALSE(rmp.pvalidate(kAsid, kGpa, page, RmpSize::k4K, true)->changed);
  EXPECT_EQ(rmp.pvalidate(kAsid, kGpa, page, RmpSize::k2M, true)->status,
            GuestStatus::kFailSizeMismatch);
  EXPECT_EQ(rmp.pvalidate(kAsid, kGpa + 8, page, RmpSize::k4K, true)->status,
            GuestStatus::kFailInput);
  EXPECT_EQ(rmp.pvalidate(kAsid, kGpa + kPageSize, page, RmpSize::k4K, true).error(),
            RmpFault::kWrongGpa);
  EXPECT_EQ(rmp.pvalidate(kAsid + 1, kGpa, page, RmpSize::k4K, true).error(),
            RmpFault::kNotAssigned);
}

// APM volume 3, PVALIDATE and RMPADJUST: a smaller page than the entry's is a #NPF, which the
// host answers with PSMASH; a larger one is the guest's own FAIL_SIZEMISMATCH.
TEST_F(RmpTest, ASmallPageInALargeEntryIsAFaultUntilItIsSmashed) {
  ASSERT_EQ(give(kBar, kAsid, kGpa, false, RmpSize::k2M), RmpStatus::kSuccess);
  const Hpa third = kBar + 2 * kPageSize;
  const Gpa there = kGpa + 2 * kPageSize;
  EXPECT_EQ(rmp.pvalidate(kAsid, there, third, RmpSize::k4K, true).error(),
            RmpFault::kSizeMismatch);
  EXPECT_EQ(rmp.pvalidate(kAsid + 1, there, third, RmpSize::k4K, true).error(),
            RmpFault::kNotAssigned);
  ASSERT_TRUE(rmp.pvalidate(kAsid, kGpa, kBar, RmpSize::k2M, true)->changed);
  EXPECT_EQ(rmp.check_guest(kAsid, there, third, RmpAccess::kRead), RmpFault::kSizeMismatch);
  EXPECT_EQ(rmp.rmpadjust(kAsid, there, third, RmpSize::k4K, true).error(),
            RmpFault::kSizeMismatch);
  EXPECT_EQ(rmp.rmpadjust(kAsid, kGpa, kBar, RmpSize::k2M, false), GuestStatus::kSuccess);
  EXPECT_EQ(rmp.check_device(TBit::kTrusted, kAsid, there, third), std::nullopt);
  ASSERT_EQ(rmp.psmash(kBar), RmpStatus::kSuccess);
  EXPECT_EQ(rmp.check_guest(kAsid, there, third, RmpAccess::kRead), std::nullopt)
      << "validated as the large one was";
  EXPECT_EQ(rmp.pvalidate(kAsid, kGpa, kBar, RmpSize::k2M, true)->status,
            GuestStatus::kFailSizeMismatch);
  EXPECT_FALSE(rmp.pvalidate(kAsid, there, third, RmpSize::k4K, true)->changed);
}

TEST_F(RmpTest, AVmsaIsNotWritten) {
  ASSERT_EQ(give(page, kAsid, kGpa, true), RmpStatus::kSuccess);
  EXPECT_EQ(rmp.check_guest(kAsid, kGpa, page, RmpAccess::kRead), RmpFault::kImmutable);
  rmp.hand_to_guest(page, true);
  EXPECT_EQ(rmp.check_guest(kAsid, kGpa, page, RmpAccess::kRead), std::nullopt);
  EXPECT_EQ(rmp.check_guest(kAsid, kGpa, page, RmpAccess::kWrite), RmpFault::kVmsa);
  EXPECT_EQ(rmp.rmpadjust(kAsid, kGpa, page, RmpSize::k4K, false), GuestStatus::kSuccess);
  EXPECT_EQ(rmp.check_guest(kAsid, kGpa, page, RmpAccess::kWrite), std::nullopt);
}

TEST_F(RmpTest, TheHostReadsButDoesNotWriteWhatIsAssigned) {
  EXPECT_EQ(rmp.check_host(page, RmpAccess::kWrite), std::nullopt);
  ASSERT_EQ(give(page), RmpStatus::kSuccess);
  EXPECT_EQ(rmp.check_host(page, RmpAccess::kRead), std::nullopt);
  EXPECT_EQ(rmp.check_host(page, RmpAccess::kWrite), RmpFault::kAssigned);
}

TEST_F(RmpTest, ADevicesTBitSaysWhosePagesItReaches) {
  EXPECT_EQ(rmp.check_device(TBit::kShared, 0, Gpa{0}, page), std::nullopt);
  EXPECT_EQ(rmp.check_device(TBit::kTrusted, kAsid, kGpa, page), RmpFault::kNotAssigned);
  ASSERT_EQ(give(page), RmpStatus::kSuccess);
  EXPECT_EQ(rmp.check_device(TBit::kShared, 0, Gpa{0}, page), RmpFault::kAssigned);
  EXPECT_EQ(rmp.check_device(TBit::kTrusted, kAsid, kGpa, page), RmpFault::kNotValidated);
  ASSERT_TRUE(rmp.pvalidate(kAsid, kGpa, page, RmpSize::k4K, true));
  EXPECT_EQ(rmp.check_device(TBit::kTrusted, kAsid, kGpa, page), std::nullopt);
  EXPECT_EQ(rmp.check_device(TBit::kTrusted, kAsid + 1, kGpa, page), RmpFault::kNotAssigned);
  EXPECT_EQ(rmp.check_device(TBit::kTrusted, kAsid, kGpa + kPageSize, page), RmpFault::kWrongGpa);
}

TEST_F(RmpTest, KeysGoWithTheEntry) {
  const std::array<std::byte, 1> secret = {std::byte{0x5a}};
  ASSERT_TRUE(memory.write(page, secret));
  ASSERT_EQ(give(page, kAsid, kGpa, true), RmpStatus::kSuccess);
  EXPECT_EQ(first_byte(hw::KeyId{kAsid}), secret[0]) << "launch encrypts in place";
  std::array<std::byte, 1> byte{};
  EXPECT_FALSE(memory.read(page, byte)) << "the host has no key";
  rmp.hand_to_guest(page, false);
  ASSERT_EQ(take(page), RmpStatus::kSuccess);
  EXPECT_EQ(first_byte(hw::KeyId::kShared), std::byte{0}) << "no plain text for the host";
  ASSERT_TRUE(memory.write(page, secret));
  ASSERT_EQ(give(page), RmpStatus::kSuccess);
  EXPECT_EQ(first_byte(hw::KeyId{kAsid}), std::byte{0}) << "nor for a guest that did not launch";
  ASSERT_EQ(take(page), RmpStatus::kSuccess);
  ASSERT_EQ(give(page, 0, Gpa{0}, true), RmpStatus::kSuccess);
  EXPECT_TRUE(memory.read(page, byte)) << "the host reads what the firmware writes for it";
  rmp.make_context(page);
  EXPECT_FALSE(memory.read(page, byte));
}

TEST_F(RmpTest, ALargePageOverlapsTheSmallOnesInsideOfItAlone) {
  const auto give_small = [&](Hpa at) { return give(at, kAsid, kGpa + kRmp2M); };
  ASSERT_EQ(give_small(kBar + kRmp2M), RmpStatus::kSuccess) << "right behind it";
  EXPECT_EQ(give(kBar, kAsid, kGpa, false, RmpSize::k2M), RmpStatus::kSuccess);
  ASSERT_EQ(take(kBar, RmpSize::k2M), RmpStatus::kSuccess);
  ASSERT_EQ(take(kBar + kRmp2M), RmpStatus::kSuccess);
  ASSERT_EQ(give_small(kBar + (kRmp2M - kPageSize)), RmpStatus::kSuccess) << "its last page";
  EXPECT_EQ(give(kBar, kAsid, kGpa, false, RmpSize::k2M), RmpStatus::kFailOverlap);
}

}  // namespace
}  // namespace teeio::sev
