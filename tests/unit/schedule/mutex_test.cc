#include "schedule/mutex.h"

#include <gmock/gmock.h>

#include <memory>
#include <optional>

#include "schedule/held_locks.h"
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

// Each misuse as a function, so that it runs in both modes. They break rules
// that clang's analysis would refuse to compile.
TEEIO_NO_THREAD_SAFETY_ANALYSIS void lock_against_order() {
  Mutex pf0{Rank::kPciTsmPf0};
  Mutex igroup{Rank::kIommufdGroup};
  const Lock lock(pf0);
  igroup.lock();
}

TEEIO_NO_THREAD_SAFETY_ANALYSIS void lock_same_rank_twice() {
  Mutex a{Rank::kDmaResv};
  Mutex b{Rank::kDmaResv};
  const Lock lock(a);
  b.lock();
}

TEEIO_NO_THREAD_SAFETY_ANALYSIS void lock_twice() {
  Mutex mutex{Rank::kUnranked};
  const Lock lock(mutex);
  mutex.lock();
}

TEEIO_NO_THREAD_SAFETY_ANALYSIS void try_what_is_held() {
  Mutex mutex{Rank::kUnranked};
  const Lock lock(mutex);
  (void)mutex.try_lock();
}

TEEIO_NO_THREAD_SAFETY_ANALYSIS void unlock_what_is_free() {
  Mutex mutex{Rank::kLeaf};
  mutex.unlock();
}

TEEIO_NO_THREAD_SAFETY_ANALYSIS void upgrade_a_read_lock() {
  RwMutex rw{Rank::kLeaf};
  const ReadLock lock(rw);
  rw.lock();
}

constexpr const char* kOrder = "a lock is taken against the lock order";
constexpr const char* kTwice = "a task locks what it holds already";
constexpr const char* kNotHeld = "a task unlocks what it does not hold";

TEST(MutexOrder, LockBelowAHeldOneIsAFailedCheckInBothModes) {
  EXPECT_EQ(failed_check(lock_against_order), kOrder);
  EXPECT_EQ(finding_of(lock_against_order), kOrder);
  EXPECT_EQ(failed_check(lock_same_rank_twice), kOrder);
  EXPECT_EQ(finding_of(lock_same_rank_twice), kOrder);
}

TEST(MutexMisuse, SecondLockByItsHolderIsAFailedCheckInBothModes) {
  EXPECT_EQ(failed_check(lock_twice), kTwice);
  EXPECT_EQ(finding_of(lock_twice), kTwice);
  EXPECT_EQ(failed_check(try_what_is_held), kTwice);
  EXPECT_EQ(finding_of(try_what_is_held), kTwice);
  EXPECT_EQ(failed_check(upgrade_a_read_lock), kTwice);
  EXPECT_EQ(finding_of(upgrade_a_read_lock), kTwice);
}

TEST(MutexMisuse, UnlockOfAFreeLockIsAFailedCheckInBothModes) {
  EXPECT_EQ(failed_check(unlock_what_is_free), kNotHeld);
  EXPECT_EQ(finding_of(unlock_what_is_free), kNotHeld);
}

TEST(MutexMisuseDeathTest, WithoutAHandlerTheSentenceIsPrintedAndTheProgramAborts) {
  EXPECT_DEATH(unlock_what_is_free(), "internal error: a task unlocks what it does not hold");
}

TEST(MutexMisuse, EndingATaskWithALockHeldIsAFinding) {
  const auto body = []() TEEIO_NO_THREAD_SAFETY_ANALYSIS {
    const auto mutex = std::make_shared<Mutex>(Rank::kLeaf);
    Task task = Task::spawn("t", [mutex]() TEEIO_NO_THREAD_SAFETY_ANALYSIS { mutex->lock(); });
    task.join();
  };
  EXPECT_EQ(finding_of(body), "a task ends while it holds a lock");
}

TEST(MutexMisuse, DestroyingAHeldLockIsAFinding) {
  EXPECT_EQ(finding_of([]() TEEIO_NO_THREAD_SAFETY_ANALYSIS {
              std::optional<Mutex> mutex(Rank::kLeaf);
              mutex->lock();
              mutex.reset();
            }),
            "a lock is destroyed while it is held");
}

TEST(MutexMisuse, AssertHeldFailsInBothModesForATaskThatDoesNotHoldTheLock) {
  const auto body = [] {
    Mutex mutex{Rank::kLeaf};
    mutex.assert_held();
  };
  EXPECT_EQ(failed_check(body), "a lock that must be held is not");
  EXPECT_EQ(finding_of(body), "a lock that must be held is not");
}

TEST(MutexOrder, TryLockIsNotBoundByTheOrder) {
  const auto body = [] {
    Mutex low{Rank::kLeaf};
    Mutex high{Rank::kVfioDevset};
    const Lock lock(low);
    const bool taken = high.try_lock();
    ASSERT_TRUE(taken);
    EXPECT_EQ(held_count(), 2U);
    if (taken) high.unlock();
  };
  body();
  expect_sound(body);
}

TEST(MutexOrder, LocksMayBeReleasedInAnyOrder) {
  const auto body = []() TEEIO_NO_THREAD_SAFETY_ANALYSIS {
    Mutex outer{Rank::kVfioDevset};
    Mutex inner{Rank::kVfioIgate};
    outer.lock();
    inner.lock();
    outer.unlock();
    EXPECT_TRUE(is_held(&inner));
    inner.unlock();
    EXPECT_EQ(held_count(), 0U);
  };
  body();
  expect_sound(body);
}

/// Two tasks that each read, then write one variable.
void add_twice(bool locked) {
  Mutex mutex{Rank::kLeaf};
  int sum = 0;
  const auto add = [&]() TEEIO_NO_THREAD_SAFETY_ANALYSIS {
    if (locked) mutex.lock();
    const schedule::Unwatched race_on_purpose;
    const int seen = sum;
    yield();
    sum = seen + 1;
    if (locked) mutex.unlock();
  };
  Task a = Task::spawn("a", add);
  Task b = Task::spawn("b", add);
  a.join();
  b.join();
  TEEIO_CHECK(sum == 2, "an addition is lost");
}

TEST(Mutex, ExcludesInEveryOrder) {
  add_twice(true);
  expect_sound([] { add_twice(true); });
}

TEST(Mutex, WithoutItTheLostAdditionIsFound) {
  EXPECT_EQ(finding_of([] { add_twice(false); }), "an addition is lost");
}

TEST(Mutex, TwoLocksInOppositeOrdersAreADeadlock) {
  const auto body = [] {
    Mutex a{Rank::kUnranked};
    Mutex b{Rank::kUnranked};
    Task one = Task::spawn("one", [&] {
      const Lock first(a);
      const Lock second(b);
    });
    Task two = Task::spawn("two", [&] {
      const Lock first(b);
      const Lock second(a);
    });
    one.join();
    two.join();
  };
  EXPECT_EQ(finding_of(body),
            "nothing can move: main waits to join one; one waits to lock unranked #2; "
            "two waits to lock unranked #1");
}

TEST(RwMutex, ReadersShareAndWritersExcludeInEveryOrder) {
  const auto body = [] {
    RwMutex rw{Rank::kPciTsmRwsem};
    int readers = 0;
    bool writing = false;
    int most_readers = 0;
    const auto read = [&] {
      const ReadLock lock(rw);
      rw.assert_held();
      const schedule::Unwatched counts_readers;
      TEEIO_CHECK(!writing, "a reader meets a writer");
      most_readers = std::max(most_readers, ++readers);
      yield();
      --readers;
    };
    Task a = Task::spawn("reader a", read);
    Task b = Task::spawn("reader b", read);
    Task w = Task::spawn("writer", [&] {
      const WriteLock lock(rw);
      rw.assert_held();
      TEEIO_CHECK(readers == 0, "a writer meets a reader");
      writing = true;
      yield();
      writing = false;
    });
    a.join();
    b.join();
    w.join();
    return most_readers;
  };
  bool shared = false;
  expect_sound([&] { shared |= body() == 2; });
  EXPECT_TRUE(shared);
}

TEST(RwMutex, RunsOnThreads) {
  RwMutex rw{Rank::kPciTsmRwsem};
  int value = 0;
  Task writer = Task::spawn("writer", [&] {
    const WriteLock lock(rw);
    value = 1;
  });
  Task reader = Task::spawn("reader", [&] {
    const ReadLock lock(rw);
    EXPECT_TRUE(value == 0 || value == 1);
  });
  writer.join();
  reader.join();
  EXPECT_EQ(value, 1);
}

TEST(RwMutex, TryLockIsRefusedWhileOthersRead) {
  const auto body = [] {
    RwMutex rw{Rank::kVfioMemory};
    const ReadLock lock(rw);
    Task other = Task::spawn("other", [&] {
      if (rw.try_lock()) {
        ADD_FAILURE() << "locked";
        rw.unlock();
      }
    });
    other.join();
  };
  body();
  expect_sound(body);
}

}  // namespace
}  // namespace teeio::schedule
