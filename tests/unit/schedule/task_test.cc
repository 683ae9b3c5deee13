#include "schedule/task.h"

#include <gmock/gmock.h>

#include <array>
#include <stdexcept>

#include "schedule/atomic.h"
#include "schedule/mutex.h"
#include "unit/schedule/checks.h"
#include "unit/schedule/explored.h"

namespace teeio::schedule {
namespace {

using test::expect_sound;
using test::explore_all;
using test::finding_of;
using ::testing::HasSubstr;

TaskLocal<int> t_value;

void each_task_has_its_own_value() {
  t_value.set(1);
  const auto use = [](int mine) {
    EXPECT_EQ(t_value.get(), 0);
    t_value.set(mine);
    yield();
    EXPECT_EQ(t_value.get(), mine);
  };
  Task a = Task::spawn("a", [&] { use(2); });
  Task b = Task::spawn("b", [&] { use(3); });
  a.join();
  b.join();
  EXPECT_EQ(t_value.get(), 1);
  t_value.set(0);
}

TEST(TaskLocal, EachTaskHasItsOwnValue) {
  each_task_has_its_own_value();
  expect_sound(each_task_has_its_own_value);
}

TEST(Task, JoinIsOverOnlyWhenTheBodyIs) {
  const auto body = [] {
    bool done = false;
    Task inner = Task::spawn("inner", [&] {
      yield();
      Task nested = Task::spawn("nested", [&] { done = true; });
      nested.join();
    });
    inner.join();
    TEEIO_CHECK(done, "join came back early");
  };
  body();
  expect_sound(body);
}

TEST(Task, AThrowingBodyIsAFinding) {
  EXPECT_EQ(finding_of([] {
              Task t = Task::spawn("t", [] { throw std::runtime_error("boom"); });
              t.join();
            }),
            "a task threw: boom");
}

TEST(Task, SwitchesInsideACatchBlockKeepEachTasksException) {
  expect_sound([] {
    const auto body = [](int mine) {
      try {
        throw mine;
      } catch (int) {
        yield();
        try {
          throw;  // what is in flight must still be ours
        } catch (int caught) {
          TEEIO_CHECK(caught == mine, "another task's exception is in flight");
        }
      }
    };
    Task a = Task::spawn("a", [&] { body(1); });
    Task b = Task::spawn("b", [&] { body(2); });
    a.join();
    b.join();
  });
}

TEST(Yield, ABusyWaitForAnotherTaskEndsInEveryOrder) {
  const auto body = [] {
    Atomic<bool> ready{false};
    Task spinner = Task::spawn("spinner", [&] {
      while (!ready.load()) yield();
    });
    Task setter = Task::spawn("setter", [&] { ready.store(true); });
    spinner.join();
    setter.join();
  };
  body();
  expect_sound(body);
}

TEST(Yield, ABusyWaitThatNobodyCanEndIsADeadlock) {
  EXPECT_THAT(finding_of([] {
                Atomic<bool> never{false};
                while (!never.load()) yield();
              }),
              HasSubstr("main waits to yield"));
}

TEST(Yield, TwoTasksThatWakeEachOtherForEverAreALivelock) {
  const auto spin = [] {
    Atomic<bool> never{false};
    Task a = Task::spawn("a", [&] {
      while (!never.load()) yield();
    });
    while (!never.load()) yield();
    a.join();
  };
  const explore::Exploration result = explore_all(spin, {.points = 1000});
  ASSERT_TRUE(result.bad.has_value());
  EXPECT_EQ(result.bad->finding.kind, Finding::Kind::kLivelock);
}

TEST(Choice, EachCombinationIsRunOnceAndZeroComesFirst) {
  std::vector<std::uint32_t> seen;
  const explore::Exploration result = expect_sound([&] {
    const std::uint32_t first = choose(2, "first");
    seen.push_back(first * 3 + choose(3, "second"));
    EXPECT_EQ(choose(1, "no choice"), 0U);
  });
  EXPECT_EQ(result.schedules, 6U);
  EXPECT_EQ(seen, (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5}));
}

TEST(Choice, TheNativeChooserDecidesAndMayNotExceedTheOffer) {
  EXPECT_EQ(choose(3, "unset"), 0U);
  set_chooser([](std::uint32_t count, std::string_view) { return count - 1; });
  EXPECT_EQ(choose(3, "set"), 2U);
  set_chooser([](std::uint32_t count, std::string_view) { return count; });
  EXPECT_EQ(test::failed_check([] { (void)choose(3, "bad"); }),
            "a chooser chose what was not offered");
  set_chooser({});
  EXPECT_EQ(choose(3, "unset"), 0U);
}

TEST(Random, OneSeedGivesOneSequenceInBothModes) {
  set_seed(7);
  const std::uint64_t first = random_u64();
  EXPECT_NE(random_u64(), first);
  set_seed(7);
  EXPECT_EQ(random_u64(), first);

  std::array<std::uint64_t, 3> drawn{};
  for (std::size_t i = 0; i < drawn.size(); ++i)
    (void)explore_all([&] { drawn[i] = random_u64(); }, {.seed = i == 2 ? 2U : 1U});
  EXPECT_EQ(drawn[0], drawn[1]);
  EXPECT_NE(drawn[0], drawn[2]);
}

TEST(Random, DrawsOfTasksDoNotDependOnTheirOrder) {
  std::vector<std::array<std::uint64_t, 2>> runs;
  expect_sound([&] {
    Mutex mutex{Rank::kLeaf};
    std::array<std::uint64_t, 2> drawn{};
    Task a = Task::spawn("a", [&] {
      const Lock lock(mutex);
      drawn[0] = random_u64();
    });
    Task b = Task::spawn("b", [&] {
      const Lock lock(mutex);
      drawn[1] = random_u64();
    });
    a.join();
    b.join();
    runs.push_back(drawn);
  });
  ASSERT_GE(runs.size(), 2U);
  EXPECT_NE(runs[0][0], runs[0][1]);
  for (const auto& drawn : runs) EXPECT_EQ(drawn, runs[0]);
}

TEST(Random, FillCoversEveryByte) {
  std::array<std::byte, 13> bytes{};
  std::array<bool, 13> touched{};
  for (int round = 0; round < 16; ++round) {
    fill_random(bytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) touched[i] |= bytes[i] != std::byte{0};
  }
  EXPECT_THAT(touched, ::testing::Each(true));
}

}  // namespace
}  // namespace teeio::schedule
