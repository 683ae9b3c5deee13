// Data races between explored tasks, which ThreadSanitizer reports (scripts/sanitize tsan): by
// what orders the tasks, not by when they run, so that one schedule shows them.
#include "schedule/races.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

#include "schedule/atomic.h"
#include "schedule/condition.h"
#include "schedule/monitor.h"
#include "schedule/mutex.h"
#include "schedule/raw_lock.h"
#include "schedule/task.h"
#include "unit/schedule/explored.h"

namespace teeio::test {
namespace {

using schedule::Mutex;
using schedule::Rank;
using schedule::Task;

class ExploredRaces : public testing::Test {
 protected:
  void SetUp() override {
    if (!schedule::kThreadSanitized) GTEST_SKIP() << "ThreadSanitizer sees races: scripts/sanitize";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
  /// In a process of its own, which reports to its own.
  static void expect(bool race, const std::function<void()>& body) {
    constexpr int kReported = 66;  // ThreadSanitizer's exitcode
    EXPECT_EXIT(
        {
          expect_sound(body);
          std::exit(testing::Test::HasFailure() ? 1 : 0);
        },
        testing::ExitedWithCode(race ? kReported : 0), race ? "data race" : "");
  }
  static void together(const std::function<void()>& a, const std::function<void()>& b) {
    Task first = Task::spawn("a", [&] { a(); });
    Task second = Task::spawn("b", [&] { b(); });
    first.join();
    second.join();
  }
};

TEST_F(ExploredRaces, PlainWritesOfTwoTasks) {
  expect(true, [] {
    int plain = 0;
    together([&] { ++plain; }, [&] { ++plain; });
  });
}

TEST_F(ExploredRaces, ALockOrders) {
  expect(false, [] {
    int plain = 0;
    Mutex mutex(Rank::kLeaf);
    const auto add = [&] {
      const schedule::Lock lock(mutex);
      ++plain;
    };
    together(add, add);
  });
}

TEST_F(ExploredRaces, AnotherLockDoesNot) {
  expect(true, [] {
    int plain = 0;
    Mutex mine(Rank::kLeaf);
    Mutex yours(Rank::kLeaf);
    const auto add = [&plain](Mutex& mutex) {
      const schedule::Lock lock(mutex);
      ++plain;
    };
    together([&] { add(mine); }, [&] { add(yours); });
  });
}

TEST_F(ExploredRaces, ASharedLockOrdersReadersWithWritersOnly) {
  const auto run = [](bool readers_write) {
    int plain = 0;
    schedule::RwMutex mutex(Rank::kLeaf);
    const auto read = [&] {
      const schedule::ReadLock lock(mutex);
      if (readers_write) ++plain;
      EXPECT_GE(plain, 0);
    };
    together(read, [&] {
      {
        const schedule::WriteLock lock(mutex);
        ++plain;
      }
      read();
    });
  };
  expect(false, [run] { run(false); });
  expect(true, [run] { run(true); });
}

TEST_F(ExploredRaces, SectionsOfAMonitorOrder) {
  expect(false, [] {
    int plain = 0;
    schedule::Monitor monitor(Rank::kLeaf);
    const auto add = [&] {
      const schedule::Section section(monitor);
      ++plain;
    };
    together(add, add);
  });
}

// Natively it is nothing: what it reaches has a lock of its own, or is in a race.
TEST_F(ExploredRaces, AnInstantOrdersNothing) {
  const auto run = [](bool locked) {
    int plain = 0;
    schedule::Monitor monitor(Rank::kLeaf);
    schedule::RawLock lock;
    const auto add = [&] {
      if (!locked) {
        ++plain;
        return;
      }
      const schedule::RawLockGuard guard(lock);
      ++plain;
    };
    together(
        [&] {
          const schedule::Instant instant(&monitor);
          add();
        },
        [&] {
          const schedule::Section section(monitor);
          add();
        });
  };
  expect(true, [run] { run(false); });
  expect(false, [run] { run(true); });
}

TEST_F(ExploredRaces, AFlagHandsOver) {
  expect(false, [] {
    int plain = 0;
    schedule::Atomic<bool> ready(false);
    together(
        [&] {
          plain = 1;
          ready.store(true);
        },
        [&] {
          if (ready.load()) ++plain;
        });
  });
}

TEST_F(ExploredRaces, AWaitIsOverWithTheLockOfItsNotifier) {
  expect(false, [] {
    int plain = 0;
    Mutex mutex(Rank::kLeaf);
    schedule::Condition changed;
    together(
        [&] {
          const schedule::Lock lock(mutex);
          plain = 1;
          changed.notify_all();
        },
        [&] {
          const schedule::Lock lock(mutex);
          changed.wait(mutex, [&] { return plain != 0; });
          ++plain;
        });
  });
}

TEST_F(ExploredRaces, BeginningAndEndOfATaskOrder) {
  expect(false, [] {
    int plain = 0;
    ++plain;
    Task task = Task::spawn("child", [&] { ++plain; });
    task.join();
    ++plain;
  });
}

TEST_F(ExploredRaces, BooksOfTheRunAreNobodys) {
  expect(false, [] {
    int plain = 0;
    const auto add = [&] {
      const schedule::Unwatched unwatched;
      ++plain;
    };
    together(add, add);
  });
}

}  // namespace
}  // namespace teeio::test
