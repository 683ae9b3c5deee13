// How often pages are pinned, and who pays: the counts of struct iopt_pages.

#include "host/iommufd/page_account.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "object/fail_nth.h"
#include "object/trace.h"

namespace teeio::iommufd {
namespace {

using mm::Charges;

class Ledger final : public Charges {
 public:
  Ledger() { mm::set_charges(this); }
  ~Ledger() override { mm::set_charges(nullptr); }
  Payer payer() override { return now; }
  [[nodiscard]] bool may_set_mode() override { return true; }
  Result<void> charge(const Payer& payer, Mode, std::uint64_t pages) override {
    if (paid[payer.space] + pages > limit) return fail(Errno::kNoMem, "the limit");
    paid[payer.space] += pages;
    return {};
  }
  void uncharge(const Payer& payer, Mode, std::uint64_t pages) override {
    paid[payer.space] -= pages;
  }
  Payer now{.space = 1, .process = 1, .user = 1};
  std::uint64_t limit = 100;
  std::map<std::uint64_t, std::uint64_t> paid;
};

TEST(PageAccount, EachPageIsPaidOnceHoweverOftenItIsPinned) {
  Ledger ledger;
  PageAccount account(Charges::Mode::kUser);
  ASSERT_TRUE(account.add(2, 5).has_value());
  ASSERT_TRUE(account.add(2, 5).has_value());
  EXPECT_EQ(ledger.paid[1], 4U);
  ASSERT_TRUE(account.add(4, 9).has_value());  // two of them for the first time
  EXPECT_EQ(ledger.paid[1], 8U);
  EXPECT_EQ(account.pins(4), 3U);
  EXPECT_EQ(account.pins(9), 1U);
  EXPECT_EQ(account.pins(1), 0U);
  account.remove(2, 5);
  account.remove(2, 5);
  EXPECT_EQ(ledger.paid[1], 6U);
  account.remove(4, 9);
  EXPECT_EQ(ledger.paid[1], 0U);
  EXPECT_EQ(account.pinned_pages(), 0U);
}

TEST(PageAccount, ARunCanBeLetGoPieceByPiece) {
  Ledger ledger;
  PageAccount account(Charges::Mode::kUser);
  ASSERT_TRUE(account.add(0, 3).has_value());
  for (std::uint64_t page = 0; page < 4; ++page) account.remove(page, page);
  EXPECT_EQ(ledger.paid[1], 0U);
  ASSERT_TRUE(account.add(1, 2).has_value()) << "and begins anew";
  EXPECT_EQ(account.pins(0), 0U);
  account.remove(1, 2);
}

TEST(PageAccount, WhatMayNotBePaidIsNotPinned) {
  Ledger ledger;
  ledger.limit = 4;
  PageAccount account(Charges::Mode::kUser);
  ASSERT_TRUE(account.add(0, 3).has_value());
  EXPECT_EQ(account.add(2, 4).error().code, Errno::kNoMem);
  EXPECT_EQ(account.pins(2), 1U);
  EXPECT_EQ(account.pinned_pages(), 4U);
  account.remove(0, 3);
}

TEST(PageAccount, WhoMayLockMemoryIsNotLimited) {
  Ledger ledger;
  ledger.now.may_lock = true;
  EXPECT_EQ(PageAccount(Charges::Mode::kMm).mode(), Charges::Mode::kNone);
  EXPECT_EQ(PageAccount(Charges::Mode::kType1).mode(), Charges::Mode::kType1);
}

TEST(PageAccount, ANewPayerPaysForAllAndTheOldOneGetsItBack) {
  Ledger ledger;
  PageAccount account(Charges::Mode::kUser);
  ASSERT_TRUE(account.add(0, 3).has_value());
  const Charges::Payer next{.space = 2, .process = 2, .user = 1};
  EXPECT_TRUE(account.pays_otherwise(next));
  EXPECT_FALSE(account.pays_otherwise(ledger.now));
  ASSERT_TRUE(ledger.charge(next, account.mode(), 3).has_value());
  account.change_payer(next, 3);  // a page was pinned since it was asked
  EXPECT_EQ(ledger.paid[1], 0U);
  EXPECT_EQ(ledger.paid[2], 4U);
  account.remove(0, 3);
  EXPECT_EQ(ledger.paid[2], 0U);
}

struct FaultsOfPrograms : testing::Test {
  FaultsOfPrograms() {
    schedule::set_host_fault_plan(&faults);
    faults.slab().ignores_wait.store(false);
    faults.on_failure([this](std::int32_t, std::string_view step) { failed = step; });
  }
  ~FaultsOfPrograms() override { schedule::set_host_fault_plan(nullptr); }
  object::FailNth faults;
  std::string failed;
};

TEST_F(FaultsOfPrograms, TheNthStepOfTheThreadFailsAndNoOther) {
  faults.set(7, 2);
  {
    const object::OriginScope other({.pid = 8, .tid = 8, .call = {}});
    EXPECT_TRUE(schedule::allocate("a").has_value());
  }
  const object::OriginScope own({.pid = 7, .tid = 7, .call = {}});
  EXPECT_TRUE(schedule::allocate("b").has_value());
  EXPECT_EQ(faults.get(7), 1U);
  EXPECT_TRUE(schedule::allocate_page("a page").has_value()) << "of order 0: min-order is 1";
  EXPECT_EQ(schedule::allocate("c").error().code, Errno::kNoMem);
  EXPECT_EQ(failed, "c");
  EXPECT_EQ(faults.get(7), 0U);
  EXPECT_TRUE(schedule::allocate("d").has_value()) << "once";
}

TEST_F(FaultsOfPrograms, MemoryThatMayBeWaitedForFailsOnRequestOnly) {
  faults.slab().ignores_wait.store(true);
  faults.set(7, 1);
  const object::OriginScope own({.pid = 7, .tid = 7, .call = {}});
  EXPECT_TRUE(schedule::allocate("a").has_value());
  EXPECT_EQ(faults.get(7), 1U) << "and does not count";
  faults.forget(7);
  EXPECT_EQ(faults.get(7), 0U);
}

TEST_F(FaultsOfPrograms, AQuietFolderSaysNothing) {
  faults.slab().verbose.store(0);
  faults.set(7, 1);
  const object::OriginScope own({.pid = 7, .tid = 7, .call = {}});
  EXPECT_FALSE(schedule::allocate("a").has_value());
  EXPECT_EQ(failed, "");
}

}  // namespace
}  // namespace teeio::iommufd
