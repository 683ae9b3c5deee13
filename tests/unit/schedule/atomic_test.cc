#include "schedule/atomic.h"

#include <gmock/gmock.h>

#include <memory>

#include "schedule/quarantine.h"
#include "schedule/races.h"
#include "schedule/task.h"
#include "unit/schedule/checks.h"
#include "unit/schedule/explored.h"

namespace teeio::schedule {
namespace {

using test::expect_sound;
using test::failed_check;
using test::finding_of;
using ::testing::HasSubstr;

void take_after_zero() {
  RefCount count(1);
  (void)count.decrement();
  count.increment();
}

void drop_below_zero() {
  RefCount count(1);
  (void)count.decrement();
  (void)count.decrement();
}

TEST(RefCount, UseAfterZeroIsAFailedCheckInBothModes) {
  constexpr const char* kTaken = "a reference is taken on an object whose last one is gone";
  constexpr const char* kDropped = "a reference is dropped that nobody holds";
  EXPECT_EQ(failed_check(take_after_zero), kTaken);
  EXPECT_EQ(finding_of(take_after_zero), kTaken);
  EXPECT_EQ(failed_check(drop_below_zero), kDropped);
  EXPECT_EQ(finding_of(drop_below_zero), kDropped);
}

TEST(RefCount, OnlyTheConditionalFormsLeaveZeroAlone) {
  RefCount count(2);
  EXPECT_FALSE(count.decrement_if_one());
  EXPECT_EQ(count.load(), 2U);
  EXPECT_FALSE(count.decrement());
  EXPECT_TRUE(count.decrement_if_one());
  EXPECT_FALSE(count.increment_not_zero());
  EXPECT_EQ(count.load(), 0U);
  count.set(1);
  EXPECT_TRUE(count.increment_not_zero());
  EXPECT_EQ(count.load(), 2U);
}

// Although two decrements commute: who is last differs, and both are seen.
TEST(RefCount, EachHolderIsOnceTheLastInSomeOrder) {
  const auto last_of = [] {
    RefCount count(3);
    int last = -1;
    int lasts = 0;
    std::vector<Task> tasks;
    for (int i = 0; i < 3; ++i)
      tasks.push_back(Task::spawn("holder", [&, i] {
        if (count.decrement()) last = i, ++lasts;
      }));
    for (Task& task : tasks) task.join();
    TEEIO_CHECK(lasts == 1, "not exactly one holder is the last");
    return last;
  };
  EXPECT_GE(last_of(), 0);
  unsigned seen = 0;
  expect_sound([&] { seen |= 1U << static_cast<unsigned>(last_of()); });
  EXPECT_EQ(seen, 7U);
}

// The increments must see the count before or after, never lose one another.
TEST(RefCount, CommutingStepsAreNotTriedInBothOrders) {
  const auto result = expect_sound([] {
    RefCount count(5);
    Task a = Task::spawn("a", [&] { count.increment(); });
    Task b = Task::spawn("b", [&] { (void)count.decrement(); });
    a.join();
    b.join();
  });
  EXPECT_EQ(result.schedules - result.pruned, 1U);
}

/// The schedules of `users` tasks that take a reference and give it back, beside one that stays
/// or is dropped meanwhile.
std::uint64_t orders_of_borrowers(int users, bool is_dropped) {
  const auto result = expect_sound([=] {
    RefCount count(1);
    std::vector<Task> tasks;
    for (int i = 0; i < users; ++i)
      tasks.push_back(Task::spawn("user", [&] {
        if (count.increment_not_zero()) (void)count.decrement();
      }));
    if (is_dropped) (void)count.decrement();
    for (Task& task : tasks) task.join();
  });
  return result.schedules - result.pruned;
}

// As a descriptor's file in two calls at once.
TEST(RefCount, WhoGivesBackWhatItTookIsNeverTheLastBesideOneWhoStays) {
  EXPECT_EQ(orders_of_borrowers(2, false), 1U);
  EXPECT_EQ(orders_of_borrowers(3, false), 1U);
}

// It comes before the get, between, or after the put.
TEST(RefCount, WhoDropsTheReferenceThatOthersBorrowComesAtEachOfTheirSteps) {
  EXPECT_EQ(orders_of_borrowers(1, true), 3U);
  EXPECT_GE(orders_of_borrowers(2, true), 9U);
}

// Although each is a put of something that it has not taken.
TEST(RefCount, OnlyTheLastOfManyPutsMeetsTheOthers) {
  const auto result = expect_sound([] {
    RefCount count(4);
    std::vector<Task> tasks;
    for (int i = 0; i < 3; ++i)
      tasks.push_back(Task::spawn("holder", [&] { (void)count.decrement(); }));
    for (Task& task : tasks) task.join();
  });
  EXPECT_EQ(result.schedules - result.pruned, 1U);
}

// Who took the reference is not who drops it: the one that is left last, of two, differs.
TEST(RefCount, AReferenceThatAnotherTookIsDroppedLastInSomeOrder) {
  unsigned seen = 0;
  expect_sound([&] {
    RefCount count(1);
    Atomic<bool> is_handed{false};
    unsigned last = 0;
    Task taker = Task::spawn("taker", [&] {
      count.increment();
      is_handed.store(true);
      if (count.decrement()) last = 1;
    });
    Task dropper = Task::spawn("dropper", [&] {
      if (is_handed.load() && count.decrement()) last = 2;
    });
    taker.join();
    dropper.join();
    seen |= 1U << last;
  });
  EXPECT_EQ(seen, 7U);
}

TEST(RefCount, LookupAgainstLastPutIsSoundOnlyIfItTestsForZero) {
  const auto race = [](bool tested) {
    RefCount count(1);
    Task user = Task::spawn("user", [&] {
      if (tested) {
        if (!count.increment_not_zero()) return;
      } else {
        count.increment();
      }
      (void)count.decrement();
    });
    (void)count.decrement();
    user.join();
  };
  race(true);
  expect_sound([&] { race(true); });
  EXPECT_THAT(finding_of([&] { race(false); }), HasSubstr("whose last one is gone"));
}

TEST(Atomic, ExchangeGivesTheFlagToExactlyOneTask) {
  const auto body = [] {
    Atomic<bool> taken{false};
    Atomic<std::uint32_t> winners{0};
    const auto grab = [&] {
      if (!taken.exchange(true)) winners.fetch_add(1);
    };
    Task a = Task::spawn("a", grab);
    Task b = Task::spawn("b", grab);
    a.join();
    b.join();
    TEEIO_CHECK(winners.load() == 1, "the flag was won twice");
  };
  body();
  expect_sound(body);
}

TEST(Atomic, LoadThenStoreIsFoundToBeNoExchange) {
  EXPECT_EQ(finding_of([] {
              Atomic<bool> taken{false};
              int winners = 0;
              const auto grab = [&] {
                if (taken.load()) return;
                taken.store(true);
                const schedule::Unwatched race_on_purpose;
                ++winners;
              };
              Task a = Task::spawn("a", grab);
              Task b = Task::spawn("b", grab);
              a.join();
              b.join();
              TEEIO_CHECK(winners == 1, "the flag was won twice");
            }),
            "the flag was won twice");
}

TEST(Atomic, CompareExchangeReportsWhatItFound) {
  Atomic<int> value{3};
  int expected = 4;
  EXPECT_FALSE(value.compare_exchange(expected, 5));
  EXPECT_EQ(expected, 3);
  EXPECT_TRUE(value.compare_exchange(expected, 5));
  EXPECT_EQ(value.load(), 5);
}

struct Node : Quarantined {
  RefCount refs{2};
  Atomic<int> value{0};
};

// The drop is not tested for being the last one, so the other use is too late
// in some orders only.
TEST(Quarantine, UseAfterFreeIsAFindingOfTheOrderThatHasIt) {
  const auto body = [](bool counted) {
    Node* node = new Node;
    Task user = Task::spawn("user", [&] {
      (void)node->value.load();
      if (!counted || node->refs.decrement()) delete node;
    });
    if (counted) {
      node->value.store(1);
      if (node->refs.decrement()) delete node;
    } else {
      node->value.store(1);
    }
    user.join();
  };
  body(true);
  expect_sound([&] { body(true); });
  EXPECT_THAT(finding_of([&] { body(false); }), HasSubstr("used after it was freed"));
}

}  // namespace
}  // namespace teeio::schedule
