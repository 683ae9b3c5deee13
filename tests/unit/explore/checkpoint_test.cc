// Schedules that begin at a checkpoint show what they show from the beginning.

#include <gtest/gtest.h>
#include <malloc.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "explore/run.h"
#include "schedule/atomic.h"
#include "schedule/controller.h"
#include "schedule/fiber_controller.h"
#include "schedule/mutex.h"
#include "schedule/sanitized.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

using schedule::Lock;
using schedule::Mutex;
using schedule::Rank;
using schedule::Task;

/// A ledger that its set-up makes, natively, and two tasks change.
struct Ledger {
  Mutex lock{Rank::kLeaf};
  schedule::Atomic<int> flag{0};
  std::map<int, std::string> names;
};

int g_set_ups = 0;

void play_ledger(bool breaks) {
  schedule::Controller* const controller = schedule::controller();
  schedule::set_controller(nullptr);
  ++g_set_ups;
  auto ledger = std::make_unique<Ledger>();
  for (int i = 0; i < 20; ++i) ledger->names[i] = std::string(50, 'n');
  schedule::set_seed(7);
  schedule::checkpoint();
  TEEIO_CHECK(schedule::random_u64() != 0, "randomness is nothing");
  schedule::set_controller(controller);
  const auto change = [&](int key) {
    for (int i = 0; i < 2; ++i) {
      const Lock lock(ledger->lock);
      ledger->names.erase(key + i);
      ledger->names[100 + key + i] = std::string(70, 'm');
    }
    ledger->flag.store(key);
  };
  Task first = Task::spawn("first", [&] { change(1); });
  Task second = Task::spawn("second", [&] { change(5); });
  first.join();
  second.join();
  TEEIO_CHECK(
      ledger->names.size() == 20 && !ledger->names.contains(1) && ledger->names.contains(106),
      "the ledger is not what the tasks made of it");
  TEEIO_CHECK(!breaks || ledger->flag.load() == 5, "R5: the first was last");
  schedule::set_controller(nullptr);
  {
    const Lock lock(ledger->lock);  // as a machine's end locks: natively
  }
  ledger.reset();
  schedule::set_controller(controller);
}

Scenario ledger_scenario(bool goes_back, bool breaks = false) {
  g_set_ups = 0;
  Scenario made;
  made.name = "test/checkpoint";
  made.body = [breaks] { play_ledger(breaks); };
  made.goes_back = goes_back;
  return made;
}

TEST(Checkpoint, TheSameSchedulesAreRunFromThere) {
  const ScenarioResult plain = run_scenario(ledger_scenario(false), {});
  EXPECT_EQ(g_set_ups, static_cast<int>(plain.schedules + plain.pruned));
  const ScenarioResult back = run_scenario(ledger_scenario(true), {});
  EXPECT_EQ(back.verdict, ScenarioResult::Verdict::kExhausted);
  EXPECT_EQ(back.schedules, plain.schedules);
  EXPECT_EQ(back.pruned, plain.pruned);
  EXPECT_EQ(back.points, plain.points);
  ASSERT_GT(plain.schedules, 3U);
  if (!schedule::kSanitized) {
    EXPECT_EQ(g_set_ups, 2) << "the second schedule's is the last one";
  }
}

TEST(Checkpoint, EachScheduleGoesAsOneFromTheBeginningDoes) {
  const ScenarioResult result = run_scenario(ledger_scenario(true), {.check_determinism = true});
  EXPECT_FALSE(result.failure.has_value()) << result.failure->what;
}

TEST(Checkpoint, ManySchedulesTakeNoMoreMemoryThanFew) {
  if (schedule::kSanitized) GTEST_SKIP() << "no checkpoints under a sanitizer";
  const auto bytes_after = [](std::uint64_t schedules) {
    (void)run_scenario(ledger_scenario(true),
                       {.strategy = StrategyKind::kRandom, .max_schedules = schedules});
    return mallinfo2().uordblks;
  };
  (void)bytes_after(100);
  const std::size_t few = bytes_after(100);
  EXPECT_LT(bytes_after(2000), few + 10'000);
}

TEST(Checkpoint, AFindingIsFoundAndReplayedFromTheBeginning) {
  const ScenarioResult plain = run_scenario(ledger_scenario(false, true), {});
  const ScenarioResult back = run_scenario(ledger_scenario(true, true), {});
  ASSERT_TRUE(plain.failure && back.failure);
  EXPECT_EQ(back.failure->what, plain.failure->what);
  EXPECT_EQ(back.failure->choices, plain.failure->choices);
  EXPECT_EQ(back.schedules, plain.schedules);
  const ScenarioResult again = run_scenario(
      ledger_scenario(true, true),
      {.strategy = StrategyKind::kReplay, .replay = back.failure->choices, .shrink = false});
  ASSERT_TRUE(again.failure);
  EXPECT_EQ(again.failure->what, back.failure->what);
}

schedule::TaskLocal<int> g_of_main;

TEST(Checkpoint, WhatTheFirstTaskHasOfItsOwnGoesBackToo) {
  Scenario s = ledger_scenario(true);
  s.body = [] {
    g_of_main.set(7);
    schedule::checkpoint();
    TEEIO_CHECK(g_of_main.get() == 7, "another run's, or nobody's");
    schedule::Atomic<int> flag{0};
    Task a = Task::spawn("a", [&] { flag.store(2); });
    Task b = Task::spawn("b", [&] { flag.store(3); });
    a.join();
    b.join();
    g_of_main.set(8);
  };
  const ScenarioResult result = run_scenario(s, {});
  EXPECT_EQ(result.verdict, ScenarioResult::Verdict::kExhausted)
      << (result.failure ? result.failure->what : "");
  EXPECT_GE(result.schedules, 2U);
  EXPECT_EQ(run_scenario(s, {.strategy = StrategyKind::kRandom, .max_schedules = 5}).schedules, 5U);
}

TEST(Checkpoint, OneAfterAPointIsNone) {
  Scenario late = ledger_scenario(true);
  late.body = [] {
    schedule::Atomic<int> flag{0};
    flag.store(1);
    schedule::checkpoint();
    EXPECT_FALSE(schedule::goes_back());
    Task a = Task::spawn("a", [&] { flag.store(2); });
    Task b = Task::spawn("b", [&] { flag.store(3); });
    a.join();
    b.join();
  };
  EXPECT_EQ(run_scenario(late, {}).verdict, ScenarioResult::Verdict::kExhausted);
}

}  // namespace
}  // namespace teeio::explore
