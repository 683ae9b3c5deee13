#include "schedule/condition.h"

#include <gmock/gmock.h>

#include <cstdint>

#include "schedule/atomic.h"
#include "schedule/task.h"
#include "unit/schedule/explored.h"

namespace teeio::schedule {
namespace {

using test::expect_sound;
using test::explore_all;
using test::finding_of;
using ::testing::HasSubstr;

constexpr std::uint64_t kSecondNs = 1'000'000'000;

struct Gate {
  Mutex mutex{Rank::kWaitQueue};
  Condition opened;
  bool open TEEIO_GUARDED_BY(mutex) = false;
};

void wait_and_open() {
  Gate gate;
  Task waiter = Task::spawn("waiter", [&] {
    const Lock lock(gate.mutex);
    while (!gate.open) gate.opened.wait(gate.mutex);
  });
  Task opener = Task::spawn("opener", [&] {
    const Lock lock(gate.mutex);
    gate.open = true;
    gate.opened.notify_all();
  });
  waiter.join();
  opener.join();
}

TEST(Condition, WakesItsWaiterInEveryOrder) {
  wait_and_open();
  expect_sound(wait_and_open);
}

// The flag is tested outside the lock: a notify in between wakes nobody.
TEST(Condition, LostWakeUpIsFoundAsADeadlock) {
  const auto body = [] {
    Mutex mutex{Rank::kWaitQueue};
    Condition opened;
    Atomic<bool> open{false};
    Task waiter = Task::spawn("waiter", [&] {
      if (open.load()) return;
      const Lock lock(mutex);
      opened.wait(mutex);
    });
    Task opener = Task::spawn("opener", [&] {
      open.store(true);
      const Lock lock(mutex);
      opened.notify_all();
    });
    waiter.join();
    opener.join();
  };
  EXPECT_THAT(finding_of(body), HasSubstr("waiter waits to wait condition #"));
}

// As above, with a notify that takes no lock: it falls between the waiter's
// test and its entry into the queue, both under the lock.
TEST(Condition, NotifyWithoutTheLockIsFoundToBeLost) {
  const auto body = [] {
    Mutex mutex{Rank::kWaitQueue};
    Condition opened;
    Atomic<bool> open{false};
    Task waiter = Task::spawn("waiter", [&] {
      const Lock lock(mutex);
      if (!open.load()) opened.wait(mutex);
    });
    Task opener = Task::spawn("opener", [&] {
      open.store(true);
      opened.notify_all();
    });
    waiter.join();
    opener.join();
  };
  EXPECT_THAT(finding_of(body), HasSubstr("nothing can move"));
}

TEST(Condition, TimeOutPassesInVirtualTimeAndOnlyWhenNothingElseMoves) {
  expect_sound([] {
    Gate gate;
    Task sleeper = Task::spawn("sleeper", [&] {
      const Lock lock(gate.mutex);
      EXPECT_FALSE(gate.opened.wait_for(gate.mutex, 3600 * kSecondNs));
      EXPECT_EQ(now_ns(), 3600 * kSecondNs);
    });
    Task busy = Task::spawn("busy", [&] {
      for (int i = 0; i < 3; ++i) {
        const Lock lock(gate.mutex);
        EXPECT_EQ(now_ns(), 0U);
      }
    });
    busy.join();
    sleeper.join();
  });
}

TEST(Condition, ShorterTimeOutEndsFirst) {
  expect_sound([] {
    Gate gate;
    int order = 0;
    Task late = Task::spawn("late", [&] {
      const Lock lock(gate.mutex);
      EXPECT_FALSE(gate.opened.wait_for(gate.mutex, 2 * kSecondNs));
      EXPECT_EQ(++order, 2);
    });
    Task early = Task::spawn("early", [&] {
      const Lock lock(gate.mutex);
      EXPECT_FALSE(gate.opened.wait_for(gate.mutex, kSecondNs));
      EXPECT_EQ(++order, 1);
    });
    late.join();
    early.join();
    EXPECT_EQ(now_ns(), 2 * kSecondNs);
  });
}

TEST(Condition, NotifyEndsATimedWaitWithoutTimePassing) {
  expect_sound([] {
    Gate gate;
    Task waiter = Task::spawn("waiter", [&] {
      const Lock lock(gate.mutex);
      while (!gate.open) EXPECT_TRUE(gate.opened.wait_for(gate.mutex, kSecondNs));
      EXPECT_EQ(now_ns(), 0U);
    });
    {
      const Lock lock(gate.mutex);
      gate.open = true;
      gate.opened.notify_all();
    }
    waiter.join();
  });
}

TEST(Condition, NativeTimeOutEndsAndALongOneDoesNotOverflow) {
  Gate gate;
  Task opener = Task::spawn("opener", [&] {
    const Lock lock(gate.mutex);
    gate.open = true;
    gate.opened.notify_all();
  });
  {
    const Lock lock(gate.mutex);
    while (!gate.open) EXPECT_TRUE(gate.opened.wait_for(gate.mutex, UINT64_MAX - 1));
    EXPECT_FALSE(gate.opened.wait_for(gate.mutex, 1));
  }
  opener.join();
}

}  // namespace
}  // namespace teeio::schedule
