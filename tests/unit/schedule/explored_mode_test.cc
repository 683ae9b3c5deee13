#include <gmock/gmock.h>

#include <set>

#include "explore/replay.h"
#include "schedule/atomic.h"
#include "schedule/condition.h"
#include "schedule/fiber_controller.h"
#include "schedule/mutex.h"
#include "schedule/task.h"
#include "schedule/usual_choice.h"
#include "unit/schedule/explored.h"

namespace teeio::schedule {
namespace {

using explore::DepthFirst;
using explore::Exploration;
using explore::Replay;
using explore::run_schedules;
using test::expect_sound;
using test::kEnough;
using ::testing::HasSubstr;

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

TEST(DepthFirst, SleepSetsRunEachDistinctOrderExactlyOnce) {
  std::multiset<std::string> orders;
  const Exploration result = expect_sound([&] { orders.insert(lock_twice_each()); });
  EXPECT_EQ(result.schedules - result.pruned, 90U);
  EXPECT_EQ(std::set<std::string>(orders.begin(), orders.end()).size(), 90U);
}

TEST(DepthFirst, WithoutReductionTheSameOrdersAreSeenManyTimes) {
  std::set<std::string> orders;
  DepthFirst strategy(DepthFirst::Reduction::kNone);
  std::uint64_t runs = 0;
  const Exploration result = run_schedules(
      strategy,
      [&] {
        ++runs;
        orders.insert(lock_twice_each());
      },
      kEnough);
  EXPECT_TRUE(result.exhausted);
  EXPECT_EQ(result.schedules, runs);
  EXPECT_EQ(orders.size(), 90U);
  EXPECT_GT(runs, 90U);
}

TEST(DepthFirst, TheFirstScheduleHasNoPreemption) {
  DepthFirst strategy(DepthFirst::Reduction::kNone);
  std::string order;
  (void)run_schedules(strategy, [&] { order = lock_twice_each(); }, 1);
  EXPECT_EQ(order, "aabbcc");
}

TEST(DepthFirst, AProgramThatVariesOutsideTheScheduleIsAFinding) {
  DepthFirst strategy(DepthFirst::Reduction::kNone);
  std::uint32_t runs = 0;
  const Exploration result =
      run_schedules(strategy, [&] { (void)choose(2 + runs++, "varies"); }, kEnough);
  ASSERT_TRUE(result.bad.has_value());
  EXPECT_THAT(result.bad->finding.what, HasSubstr("something outside the schedule varies"));
}

void use_many(std::vector<std::uint64_t>& drawn) {
  Mutex a{Rank::kVfioDevset};
  Mutex b{Rank::kIommufdGroup};
  RefCount count{8};
  const auto work = [&] {
    for (int i = 0; i < 2; ++i) {
      const Lock lock_a(a);
      const Lock lock_b(b);
      (void)count.decrement();
      drawn.push_back(random_u64());
    }
  };
  Task one = Task::spawn("one", work);
  Task two = Task::spawn("two", work);
  one.join();
  two.join();
  TEEIO_CHECK(drawn.size() != 4 || drawn[1] == drawn[2] || choose(2, "end") == 0, "stop here");
}

// The same choices give the same object numbers, steps and random numbers.
TEST(Replay, RepeatsARunStepByStep) {
  std::vector<std::uint64_t> first_drawn;
  DepthFirst strategy(DepthFirst::Reduction::kSleepSets);
  const Exploration found = run_schedules(
      strategy,
      [&] {
        first_drawn.clear();
        use_many(first_drawn);
      },
      kEnough);
  ASSERT_TRUE(found.bad.has_value());

  std::vector<std::uint64_t> drawn;
  Replay replay(found.bad->choices);
  const Exploration again = run_schedules(replay, [&] { use_many(drawn); }, kEnough);
  ASSERT_TRUE(again.bad.has_value());
  EXPECT_EQ(explore::to_text(*again.bad), explore::to_text(*found.bad));
  EXPECT_EQ(drawn, first_drawn);
  EXPECT_THAT(again.bad->story, HasSubstr("one   lock dev_set->lock #1"));
}

TEST(Replay, ChoicesThatDoNotFitAreAFinding) {
  for (const char* text : {"7", "=0", "1 =1"}) {
    Replay replay(*parse_choices(text));
    const Exploration result = run_schedules(replay, [] { lock_twice_each(); }, kEnough);
    ASSERT_TRUE(result.bad.has_value()) << text;
    EXPECT_EQ(result.bad->finding.what, "the choices to replay do not fit this program");
  }
}

TEST(Choices, TextHasSwitchesWithHowManyUsualChoicesAreBefore) {
  const Choices choices = {kUsualChoice,
                           kUsualChoice,
                           {Choice::Kind::kTask, 12},
                           {Choice::Kind::kTask, 0},
                           kUsualChoice,
                           {Choice::Kind::kAlternative, 2}};
  EXPECT_EQ(to_text(choices), "2:12,:0,1=2");
  EXPECT_EQ(parse_choices("2:12,:0,1=2").value(), choices);
  EXPECT_EQ(parse_choices("2:12  :0 1=2").value(), choices);
  EXPECT_EQ(to_text({kUsualChoice, {Choice::Kind::kTask, 1}, kUsualChoice}), "1:1");
  EXPECT_TRUE(parse_choices("").value().empty());
}

TEST(Choices, TextOfEarlierVersionsIsRead) {
  const Choices choices = {{Choice::Kind::kTask, 0},  {Choice::Kind::kTask, 0},
                           {Choice::Kind::kTask, 12}, {Choice::Kind::kAlternative, 2},
                           {Choice::Kind::kTask, 2},  {Choice::Kind::kAlternative, 2}};
  EXPECT_EQ(parse_choices("0*2 12 =2  2 =2").value(), choices);
  EXPECT_EQ(parse_choices(to_text(choices)).value(), choices);
}

TEST(Choices, BadTextIsRefused) {
  for (const char* text : {"x", "1x", "=", "1*", "1*0", "1**2", "-1", "1:", ":", "1:x", "1:2:3",
                           "99999999999", "4294967295"})
    EXPECT_EQ(parse_choices(text).error().code, Errno::kInval) << text;
  EXPECT_EQ(parse_choices("1*1000001").error().code, Errno::kTooBig);
  EXPECT_EQ(parse_choices("1000001:2").error().code, Errno::kTooBig);
  EXPECT_EQ(parse_choices("1*1000000 1").error().code, Errno::kTooBig);
}

// A strategy that gives up at once: the run must still end cleanly.
class PruneAtOnce final : public Strategy {
 public:
  bool begin() override { return runs_++ < 3; }
  std::uint32_t pick(const Moment&) override { return kPrune; }
  std::uint32_t choose(std::uint32_t count) override { return count - 1; }

 private:
  int runs_ = 0;
};

TEST(Pruning, APrunedRunEndsWithoutPreemptionAndDestroysWhatItMade) {
  PruneAtOnce strategy;
  std::string order;
  const Exploration result = run_schedules(strategy, [&] { order = lock_twice_each(); }, kEnough);
  EXPECT_EQ(result.schedules, 3U);
  EXPECT_EQ(result.pruned, 3U);
  EXPECT_FALSE(result.bad.has_value());
  EXPECT_EQ(order, "aabbcc");
}

TEST(Findings, ARunThatFailsLeavesTheNextOnesUntouched) {
  for (int i = 0; i < 3; ++i) {
    const auto fail_holding = [] {
      Mutex mutex{Rank::kVfioDevset};
      const Lock lock(mutex);
      Task stuck = Task::spawn("stuck", [&] { const Lock second(mutex); });
      TEEIO_CHECK(false, "on purpose");
      stuck.join();
    };
    EXPECT_EQ(test::finding_of(fail_holding), "on purpose");
    EXPECT_EQ(controller(), nullptr);
    expect_sound([] { lock_twice_each(); });
  }
}

void lock_and_unlock(Mutex& mutex) { const Lock lock(mutex); }

// Such as a lock of the whole process: it must not keep its number.
TEST(Numbers, APrimitiveThatOutlivesARunIsNumberedAnewInTheNext) {
  Mutex lasting{Rank::kPciTsmRwsem};
  for (int run = 0; run < 2; ++run) {
    DepthFirst strategy(DepthFirst::Reduction::kNone);
    FiberController controller(strategy);
    ASSERT_TRUE(strategy.begin());
    const Outcome outcome = controller.run([&] {
      Mutex early{Rank::kVfioDevset};
      Mutex late{Rank::kVfioIgate};
      const Lock lock_early(early);
      if (run == 1) lock_and_unlock(late);
      const Lock lock_lasting(lasting);
    });
    EXPECT_FALSE(outcome.finding.has_value());
    EXPECT_THAT(controller.story(),
                HasSubstr(run == 0 ? "lock pci_tsm_rwsem #2" : "lock pci_tsm_rwsem #3"));
  }
}

TEST(GoOnAlone, LeavesOnlyWhatTheTasksBeforeItDidToEachOther) {
  const auto body = [](bool alone) {
    return [alone] {
      Mutex mutex{Rank::kLeaf};
      Task a = Task::spawn("a", [&] { lock_and_unlock(mutex); });
      Task b = Task::spawn("b", [&] { lock_and_unlock(mutex); });
      a.join();
      b.join();
      if (alone) go_on_alone();
      lock_and_unlock(mutex);
      (void)choose(2, "a step fails");  // is asked for all the same
    };
  };
  const Exploration with = expect_sound(body(false));
  const Exploration without = expect_sound(body(true));
  EXPECT_EQ(without.schedules, with.schedules);
  EXPECT_EQ(without.points, with.points);
}

TEST(GoOnAlone, StillFindsThatNobodyWillNotify) {
  EXPECT_THAT(test::finding_of([] {
                Mutex mutex{Rank::kLeaf};
                Condition condition;
                go_on_alone();
                const Lock lock(mutex);
                condition.wait(mutex);
              }),
              HasSubstr("nothing can move"));
}

TEST(GoOnAlone, IsForTheLastTaskOnly) {
  EXPECT_THAT(test::finding_of([] {
                Atomic<int> flag{0};
                Task a = Task::spawn("a", [&] { flag.store(1); });
                go_on_alone();
                a.join();
              }),
              HasSubstr("a task is not the only one left"));
  EXPECT_THAT(test::finding_of([] {
                go_on_alone();
                Task::spawn("a", [] {}).join();
              }),
              HasSubstr("spawns another"));
}

TEST(Commute, SaysSoOnlyForWhatCannotBeSeen) {
  using enum OpKind;
  EXPECT_TRUE(commute({kLock, 1}, {kLock, 2}));
  EXPECT_FALSE(commute({kLock, 1}, {kLock, 1}));
  EXPECT_TRUE(commute({kReadLock, 1}, {kReadLock, 1}));
  EXPECT_FALSE(commute({kReadUnlock, 1}, {kLock, 1}));
  EXPECT_TRUE(commute({kLoad, 1}, {kLoad, 1}));
  EXPECT_FALSE(commute({kLoad, 1}, {kStore, 1}));
  EXPECT_TRUE(commute({kIncrement, 1}, {kDecrement, 1}));
  EXPECT_FALSE(commute({kDecrement, 1}, {kTestCount, 1}));
  EXPECT_FALSE(commute({kEnqueue, 1}, {kNotify, 1}));
  EXPECT_FALSE(commute({kDestroy, 1}, {kLoad, 1}));
  EXPECT_FALSE(commute({kYield, 0}, {kLoad, 1}));
}

}  // namespace
}  // namespace teeio::schedule
