#include "explore/dpor.h"

#include <gmock/gmock.h>

#include <set>

#include "schedule/atomic.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"
#include "schedule/task.h"
#include "unit/explore/programs.h"
#include "unit/schedule/explored.h"

namespace teeio::explore {
namespace {

using schedule::Condition;
using schedule::Lock;
using schedule::Mutex;
using schedule::Rank;
using schedule::Task;
using test::kEnough;

Exploration reduced(const std::function<void()>& body) {
  Dpor strategy;
  return run_schedules(strategy, body, kEnough);
}

/// Three tasks that each lock one mutex twice: 6!/(2!·2!·2!) = 90 orders.
std::string lock_twice_each() {
  Mutex mutex{Rank::kLeaf};
  std::string order;
  std::vector<Task> tasks;
  for (char name = 'a'; name <= 'c'; ++name)
    tasks.push_back(Task::spawn(std::string(1, name), [&, name] {
      for (int i = 0; i < 2; ++i) {
        const Lock lock(mutex);
        order += name;
      }
    }));
  for (Task& task : tasks) task.join();
  return order;
}

TEST(Dpor, RunsEachDistinctOrderOnceAndLittleElse) {
  std::multiset<std::string> orders;
  const Exploration result = reduced([&] { orders.insert(lock_twice_each()); });
  EXPECT_TRUE(result.exhausted);
  EXPECT_EQ(result.schedules - result.pruned, 90U);
  EXPECT_EQ(std::set<std::string>(orders.begin(), orders.end()).size(), 90U);
  EXPECT_LE(result.schedules, 120U);
  RecordProperty("schedules", static_cast<int>(result.schedules));
}

TEST(Dpor, TasksThatShareNothingNeedOneSchedule) {
  const Exploration result = reduced([] {
    std::vector<Task> tasks;
    for (int i = 0; i < 4; ++i)
      tasks.push_back(Task::spawn("t", [] {
        Mutex own{Rank::kLeaf};
        for (int j = 0; j < 20; ++j) const Lock lock(own);
      }));
    for (Task& task : tasks) task.join();
  });
  EXPECT_TRUE(result.exhausted);
  EXPECT_EQ(result.schedules, 1U);
}

TEST(Dpor, FindsTheDeadlockOfTwoLocksInOppositeOrders) {
  const Exploration result = reduced([] {
    Mutex a{Rank::kUnranked};
    Mutex b{Rank::kUnranked};
    const auto take = [](Mutex& first, Mutex& second) {
      const Lock outer(first);
      const Lock inner(second);
    };
    Task one = Task::spawn("one", [&] { take(a, b); });
    Task two = Task::spawn("two", [&] { take(b, a); });
    one.join();
    two.join();
  });
  ASSERT_TRUE(result.bad.has_value());
  EXPECT_EQ(result.bad->finding.kind, schedule::Finding::Kind::kDeadlock);
}

TEST(Dpor, FindsALostWakeUp) {
  const Exploration result = reduced([] {
    Mutex mutex{Rank::kLeaf};
    Condition condition;
    schedule::Atomic<bool> ready{false};
    Task waiter = Task::spawn("waiter", [&] {
      if (ready.load()) return;
      const Lock lock(mutex);  // too late: what was loaded is old by now
      condition.wait(mutex);
    });
    Task waker = Task::spawn("waker", [&] {
      ready.store(true);
      const Lock lock(mutex);
      condition.notify_all();
    });
    waiter.join();
    waker.join();
  });
  ASSERT_TRUE(result.bad.has_value());
  EXPECT_EQ(result.bad->finding.kind, schedule::Finding::Kind::kLostWakeup);
}

// What all schedules reach, one by one without reduction, is what the reduction
// reaches; and no two of its complete schedules are equal.
class Soundness : public testing::Test {
 protected:
  void expect_same(const test::Program& program, test::Way standard = test::Way::kPlain) {
    const test::Reached all = test::reach(program, standard);
    if (all.too_many) return;
    const test::Reached some = test::reach(program, test::Way::kDpor);
    EXPECT_EQ(some.ends, all.ends) << program.text();
    EXPECT_LE(some.schedules, all.schedules) << program.text();
    ++programs_;
    plain_ += all.schedules;
    reduced_ += some.schedules;
    complete_ += some.complete;
  }
  void TearDown() override {
    EXPECT_GT(programs_, 20U) << "most programs are too large to say anything";
    RecordProperty("programs", static_cast<int>(programs_));
    RecordProperty("standard", static_cast<int>(plain_));
    RecordProperty("dpor", static_cast<int>(reduced_));
    RecordProperty("dpor_complete", static_cast<int>(complete_));
  }
  std::uint64_t programs_ = 0, plain_ = 0, reduced_ = 0, complete_ = 0;
};

TEST_F(Soundness, TwoTasksWithEveryPairOfSteps) {
  for (std::uint64_t number = 0; number < test::pair_programs(); ++number)
    expect_same(test::pair_program(number));
}

// Sleep sets alone are known to keep everything; with them one gets farther.
TEST_F(Soundness, RandomProgramsOfTwoTasks) {
  Random random(1);
  for (int i = 0; i < 150; ++i)
    expect_same(test::random_program(random, 2, 3), test::Way::kSleepSets);
}

TEST_F(Soundness, RandomProgramsOfThreeTasks) {
  Random random(2);
  for (int i = 0; i < 100; ++i) expect_same(test::random_program(random, 3, 1));
}

TEST_F(Soundness, ATaskThatRetriesUntilAnotherStores) {
  for (std::uint32_t i = 0; i < test::kStepKinds; ++i)
    for (const test::Step store : {test::Step::kStore, test::Step::kFetchAdd})
      expect_same({{{test::Step::kRetry, static_cast<test::Step>(i)},
                    {static_cast<test::Step>((i * 7 + 3) % test::kStepKinds), store}}});
}

TEST_F(Soundness, LargerProgramsAgainstSleepSets) {
  Random random(3);
  for (int i = 0; i < 150; ++i)
    expect_same(test::random_program(random, 3, 2), test::Way::kSleepSets);
}

TEST(Dpor, ThePartsTogetherAreTheWhole) {
  Random random(4);
  for (int i = 0; i < 60; ++i) {
    const test::Program program = test::random_program(random, 3, 2);
    const test::Reached whole = test::reach(program, test::Way::kDpor);
    if (whole.too_many) continue;
    const test::Reached parts = test::reach(program, test::Way::kParts);
    EXPECT_EQ(parts.ends, whole.ends) << program.text();
    // A few more: that two puts commute depends on what the count is by then.
    EXPECT_GE(parts.complete, whole.complete) << program.text();
  }
}

}  // namespace
}  // namespace teeio::explore
