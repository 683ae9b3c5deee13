#include "explore/run.h"

#include <gmock/gmock.h>

#include "base/check.h"
#include "explore/saved.h"
#include "explore/shard.h"
#include "explore/shards_progress.h"
#include "explore/shrink.h"
#include "schedule/atomic.h"
#include "schedule/mutex.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

using schedule::Atomic;
using schedule::Lock;
using schedule::Mutex;
using schedule::Rank;
using schedule::Task;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Verdict = ScenarioResult::Verdict;

Scenario scenario(std::function<void()> body) {
  Scenario s;
  s.name = "test/scenario";
  s.description = "A test.";
  s.body = std::move(body);
  return s;
}

/// Two tasks that add to one number without a lock, and some noise before.
void lose_an_update() {
  Atomic<int> number{0};
  Atomic<int> noise{0};
  const auto add = [&] {
    for (int i = 0; i < 3; ++i) noise.fetch_add(1);
    const int seen = number.load();
    number.store(seen + 1);
    for (int i = 0; i < 3; ++i) noise.fetch_add(1);
  };
  Task a = Task::spawn("a", add);
  Task b = Task::spawn("b", add);
  a.join();
  b.join();
  TEEIO_CHECK(number.load() == 2, "R5: an update is lost");
}

void lock_three_times() {
  Mutex mutex{Rank::kLeaf};
  std::vector<Task> tasks;
  for (int t = 0; t < 3; ++t)
    tasks.push_back(Task::spawn("t", [&] {
      for (int i = 0; i < 3; ++i) const Lock lock(mutex);
    }));
  for (Task& task : tasks) task.join();
}

TEST(RunScenario, SaysThatNoOrderIsLeft) {
  const auto result = run_scenario(scenario(lock_three_times), {});
  EXPECT_EQ(result.verdict, Verdict::kExhausted);
  EXPECT_EQ(result.schedules, 1680U);  // 9! / (3!·3!·3!)
  EXPECT_TRUE(result.as_expected);
}

/// Other programs take nothing of it: what a machine with much to do proves is the same.
TEST(RunScenario, IsBoundByProcessorTime) {
  const auto result = run_scenario(scenario(lock_three_times), {.seconds = 1e-9});
  EXPECT_EQ(result.verdict, Verdict::kBounded);
  EXPECT_EQ(result.schedules + result.pruned, 0U);
  EXPECT_THAT(result.bound, testing::StartsWith("0 s of processor time, "));
}

TEST(RunScenario, SaysItsBound) {
  const auto result = run_scenario(scenario(lock_three_times), {.max_schedules = 100});
  EXPECT_EQ(result.verdict, Verdict::kBounded);
  EXPECT_THAT(result.bound,
              testing::MatchesRegex(
                  "100 schedules, about [0-9.]+ % of the tree, 50 by pct, 50 by bounded"));
  EXPECT_EQ(result.schedules + result.pruned, 100U);
  EXPECT_EQ(result.sampled, 100U);
  EXPECT_EQ(result.most_contended(), "leaf 100 %");
  EXPECT_TRUE(result.as_expected);
}

TEST(RunScenario, SaysWhereTheOrdersComeFrom) {
  ScenarioResult result;
  EXPECT_EQ(result.most_contended(), "");
  result.contention = {{"firmware", 150}, {"igroup->lock", 49}, {"flag", 1}};
  EXPECT_EQ(result.most_contended(), "firmware 75 %, igroup->lock 24 %");
  ShardResult shard;
  shard.result = result;
  const auto again = parse_result(to_json(shard));
  ASSERT_TRUE(again.has_value()) << again.error();
  EXPECT_EQ(again->result.most_contended(), result.most_contended());
}

/// One task that would have to go first, before another of many steps: the last
/// order that a depth-first search comes to.
void fail_if_the_second_task_begins() {
  constexpr int kManySteps = 40;
  Mutex mutex{Rank::kLeaf};
  bool begun = false;
  Task first = Task::spawn("first", [&] {
    for (int i = 0; i < kManySteps; ++i) {
      const Lock lock(mutex);
      begun = true;
    }
  });
  Task second = Task::spawn("second", [&] {
    for (int i = 0; i < kManySteps; ++i) {
      const Lock lock(mutex);
      TEEIO_CHECK(begun, "the second task begins");
    }
  });
  first.join();
  second.join();
}

TEST(RunScenario, AStoppedDepthFirstSearchLooksElsewhereToo) {
  const auto result =
      run_scenario(scenario(fail_if_the_second_task_begins), {.max_schedules = 200});
  ASSERT_EQ(result.verdict, Verdict::kFound);
  EXPECT_EQ(result.failure->what, "the second task begins");
  EXPECT_GT(result.sampled, 0U);
}

TEST(RunScenario, EveryStrategyFindsALostUpdateAndShrinksItToOnePreemption) {
  for (const StrategyKind kind : {StrategyKind::kDpor, StrategyKind::kBounded, StrategyKind::kPct,
                                  StrategyKind::kRandom, StrategyKind::kPlain}) {
    const auto result = run_scenario(scenario(lose_an_update), {.strategy = kind});
    ASSERT_EQ(result.verdict, Verdict::kFound) << strategy_name(kind);
    EXPECT_FALSE(result.as_expected);
    EXPECT_EQ(result.failure->rule, "R5");
    EXPECT_EQ(result.failure->switches, 1U) << result.failure->story;
    const auto again = run_scenario(scenario(lose_an_update), {.strategy = StrategyKind::kReplay,
                                                               .replay = result.failure->choices});
    ASSERT_TRUE(again.failure.has_value());
    EXPECT_EQ(again.failure->what, result.failure->what);
  }
}

TEST(RunScenario, NoPreemptionIsTooFewForALostUpdate) {
  const auto result = run_scenario(scenario(lose_an_update),
                                   {.strategy = StrategyKind::kBounded, .preemptions = 0});
  EXPECT_EQ(result.verdict, Verdict::kBounded);
  EXPECT_EQ(result.bound, "0 preemptions");
}

void fail_when_two_steps_fail() {
  const bool first = schedule::choose(2, "first") != 0;
  const bool second = schedule::choose(2, "second") != 0;
  TEEIO_CHECK(!first || !second, "both fail");
}

TEST(RunScenario, FailuresAreBounded) {
  Scenario s = scenario(fail_when_two_steps_fail);
  s.failures = 1;
  EXPECT_EQ(run_scenario(s, {}).verdict, Verdict::kExhausted);
  const auto two = run_scenario(s, {.failures = 2});
  ASSERT_EQ(two.verdict, Verdict::kFound);
  EXPECT_EQ(two.failure->failures, 2U);
}

TEST(RunScenario, AFindingThatIsExpectedIsRight) {
  Scenario s = scenario(lose_an_update);
  s.expectation = {.rules = {"R6", "R5"}};
  EXPECT_TRUE(run_scenario(s, {}).as_expected);
  s.expectation = {.rules = {"R6"}};
  EXPECT_FALSE(run_scenario(s, {}).as_expected);
  s.expectation = {.rules = {"R5"}, .text = "what it does not say"};
  EXPECT_FALSE(run_scenario(s, {}).as_expected);
  s.expectation = {.rules = {"R5"}};
  s.body = lock_three_times;
  EXPECT_FALSE(run_scenario(s, {}).as_expected);
}

TEST(CheckDeterminism, FindsWhatVariesBesidesTheSchedule) {
  int runs = 0;
  const auto varies = [&runs] {
    Mutex mutex{Rank::kLeaf};
    const int times = ++runs;
    for (int i = 0; i < times; ++i) const Lock lock(mutex);
  };
  const auto result = run_scenario(scenario(varies), {.check_determinism = true});
  ASSERT_TRUE(result.failure.has_value());
  EXPECT_EQ(result.failure->rule, "nondeterminism");
  EXPECT_EQ(run_scenario(scenario(lock_three_times), {.check_determinism = true}).verdict,
            Verdict::kExhausted);
}

TEST(CheckDeterminism, ComparesWhatCallsAnswer) {
  int runs = 0;
  Scenario s = scenario({});
  s.answers = std::make_shared<Answers>(
      std::vector<CallAnswers>{{.where = "line 7", .call = "close", .allowed = {}, .answers = {}}});
  s.body = [&runs, answers = s.answers.get()] {
    answers->note(0, ++runs == 2 ? "EBUSY" : "ok", "");
  };
  const auto result = run_scenario(s, {.check_determinism = true});
  ASSERT_TRUE(result.failure.has_value());
  EXPECT_EQ(result.failure->rule, "nondeterminism");
  EXPECT_EQ(result.failure->what,
            "in the same schedule line 7 (close) answered ok, and the second time line 7 (close) "
            "answered EBUSY");
  ASSERT_EQ(result.answers.size(), 1U);
  EXPECT_EQ(result.answers[0].times(), 1U) << "the second time is none of its own";
  runs = 0;
  s.body = [&runs, answers = s.answers.get()] {
    if (++runs == 1) answers->note(0, "ok", "");
  };
  EXPECT_THAT(run_scenario(s, {.check_determinism = true}).failure->what,
              HasSubstr("and the second time no further call was made"));
  s.body = [answers = s.answers.get()] { answers->note(0, "ok", ""); };
  EXPECT_EQ(run_scenario(s, {.check_determinism = true}).verdict, Verdict::kExhausted);
}

TEST(CheckDeterminism, ComparesWhatIsFound) {
  int runs = 0;
  const auto varies = [&runs] { check_failed("R5: a page of VM " + std::to_string(++runs)); };
  const auto result = run_scenario(scenario(varies), {.shrink = false, .check_determinism = true});
  ASSERT_TRUE(result.failure.has_value());
  EXPECT_EQ(result.failure->rule, "nondeterminism");
  EXPECT_THAT(result.failure->what, HasSubstr("showed \"R5: a page of VM 1 ("));
  EXPECT_THAT(result.failure->what, HasSubstr("second time \"R5: a page of VM 2 ("));
  const auto same =
      run_scenario(scenario([] { check_failed("R5: a page"); }), {.check_determinism = true});
  EXPECT_EQ(same.failure->rule, "R5");
}

TEST(FindLeaks, APrimitiveThatOutlivesItsRunIsOne) {
  Mutex outside{Rank::kLeaf};
  Scenario s = scenario([&] { const Lock lock(outside); });
  EXPECT_EQ(run_scenario(s, {}).verdict, Verdict::kExhausted);
  s.limits.find_leaks = true;
  const auto result = run_scenario(s, {});
  ASSERT_TRUE(result.failure.has_value());
  EXPECT_EQ(result.failure->rule, "leak");
}

// ---- Shards

Saved shard_of(const Scenario& s, std::uint64_t index, std::uint64_t count,
               const Options& options = {}) {
  Saved saved;
  saved.strategy = strategy_name(options.strategy);
  saved.shard = {index, count};
  saved.wanted = {s.name};
  saved.scenarios.push_back(run_shard(s, options, saved.shard, {}, {}));
  return *parse_saved(to_json(saved));  // as it comes from a file
}

TEST(Shards, FourCoverExactlyWhatOneProcessCovers) {
  const Scenario s = scenario(lock_three_times);
  const auto whole = run_scenario(s, {});
  std::vector<Saved> shards;
  for (std::uint64_t i = 0; i < 4; ++i) shards.push_back(shard_of(s, i, 4));
  const auto merged = merge(shards);
  ASSERT_TRUE(merged.has_value()) << merged.error();
  EXPECT_THAT(merged->gaps, IsEmpty());
  ASSERT_EQ(merged->scenarios.size(), 1U);
  EXPECT_EQ(merged->scenarios[0].verdict, Verdict::kExhausted);
  EXPECT_EQ(merged->scenarios[0].schedules, whole.schedules);
}

TEST(Shards, AMissingOneIsNamed) {
  const Scenario s = scenario(lock_three_times);
  const std::vector<Saved> shards = {shard_of(s, 0, 3), shard_of(s, 2, 3)};
  const auto merged = merge(shards);
  ASSERT_TRUE(merged.has_value());
  EXPECT_THAT(merged->gaps, testing::ElementsAre("shard 1/3 is missing"));  // and once
  EXPECT_NE(merged->scenarios[0].verdict, Verdict::kExhausted);
}

TEST(Shards, OneThatDidNotBeginAScenarioIsNamedOnce) {
  const Scenario s = scenario(lock_three_times);
  Saved idle = shard_of(s, 1, 2);
  idle.scenarios.clear();
  const auto merged = merge(std::vector{shard_of(s, 0, 2), idle});
  ASSERT_TRUE(merged.has_value());
  ASSERT_THAT(merged->gaps, testing::SizeIs(1));
  EXPECT_THAT(merged->gaps[0], HasSubstr("shard 1/2 did not begin it"));
}

TEST(Shards, AKilledOneIsResumedWithoutDoingAnythingTwice) {
  const Scenario s = scenario(lock_three_times);
  // Killed after three parts: what was said by then is all there is.
  ShardResult saved;
  std::uint64_t parts = 0;
  (void)run_shard(s, {}, {0, 2}, {}, [&](const ShardResult& so_far) {
    if (++parts == 3) saved = so_far;
  });
  ASSERT_EQ(saved.done.size(), 3U);
  std::uint64_t more = 0;
  const ShardResult resumed =
      run_shard(s, {}, {0, 2}, saved.done, [&](const ShardResult&) { ++more; });
  EXPECT_EQ(more, parts - 3);
  Saved first = shard_of(s, 0, 2);
  EXPECT_EQ(resumed.result.schedules, first.scenarios[0].result.schedules);
  first.scenarios[0] = resumed;
  const std::vector<Saved> both = {first, shard_of(s, 1, 2)};
  EXPECT_THAT(merge(both)->gaps, IsEmpty());
}

TEST(Shards, OneThatASignalStoppedIsToBeResumed) {
  const Scenario s = scenario(lock_three_times);
  Saved cut = shard_of(s, 1, 2);
  cut.scenarios[0].done.resize(1);
  cut.scenarios[0].result.bound = ScenarioResult::kStopped;
  const auto merged = merge(std::vector{shard_of(s, 0, 2), cut});
  ASSERT_TRUE(merged.has_value());
  ASSERT_THAT(merged->gaps, testing::SizeIs(1));
  EXPECT_THAT(merged->gaps[0], HasSubstr("; resume it"));
}

TEST(Shards, OneThatStoppedAtItsBoundIsNotTheWhole) {
  const Scenario s = scenario(lock_three_times);
  const std::vector<Saved> shards = {shard_of(s, 0, 2), shard_of(s, 1, 2, {.max_schedules = 50})};
  const auto merged = merge(shards);
  ASSERT_TRUE(merged.has_value());
  ASSERT_THAT(merged->gaps, testing::SizeIs(1));
  EXPECT_THAT(merged->gaps[0], HasSubstr("shard 1/2 lacks"));
  EXPECT_EQ(merged->scenarios[0].verdict, Verdict::kBounded);
}

TEST(Shards, OnesThatDoNotBelongTogetherAreRefused) {
  const Scenario s = scenario(lock_three_times);
  const Saved one = shard_of(s, 0, 2);
  EXPECT_THAT(merge(std::vector{one, one}).error(), HasSubstr("twice"));
  EXPECT_THAT(merge(std::vector{one, shard_of(s, 1, 3)}).error(), HasSubstr("another exploration"));
  const Scenario other = scenario(lose_an_update);
  EXPECT_THAT(merge(std::vector{one, shard_of(other, 1, 2)}).error(), HasSubstr("do not divide"));
}

TEST(ShardsProgress, SaysWhatIsDoneAndWhichShardIsNotThere) {
  const Scenario s = scenario(lock_three_times);
  Saved cut = shard_of(s, 0, 3);
  const std::size_t all = cut.scenarios[0].done.size();
  ASSERT_GT(all, 2U);
  cut.scenarios[0].done.resize(2);
  cut.interrupted = "SIGTERM";
  cut.scenarios[0].result.bound = ScenarioResult::kStopped;
  const ShardProgress p = progress_of(cut);
  EXPECT_EQ(p.done, 2U);
  EXPECT_EQ(p.parts, all);
  EXPECT_FALSE(p.ended);
  cut.wanted.push_back("test/not-begun");
  EXPECT_DOUBLE_EQ(progress_of(cut).share, 1.0 / static_cast<double>(all));
  cut.wanted.pop_back();
  const auto lines = shards_progress(std::vector{shard_of(s, 2, 3), cut});
  ASSERT_TRUE(lines.has_value()) << lines.error();
  EXPECT_THAT(*lines, HasSubstr("1 of 3 shards ended; "));
  EXPECT_THAT(*lines, HasSubstr("  0/3: 1 of 1 scenarios begun, 2 of their "));
  EXPECT_THAT(*lines, HasSubstr("parts done, stopped by SIGTERM\n  1/3: no file of it\n  2/3: "));
}

TEST(ShardsProgress, NamesWhatWasFoundOnce) {
  const Scenario s = scenario(lose_an_update);
  const auto lines = shards_progress(std::vector{shard_of(s, 0, 2), shard_of(s, 1, 2)});
  ASSERT_TRUE(lines.has_value()) << lines.error();
  EXPECT_THAT(*lines, HasSubstr("; found something in " + s.name + "\n"));
  EXPECT_THAT(*lines, HasSubstr("2 of 2 shards ended"));
}

TEST(ShardsProgress, OnesThatDoNotBelongTogetherAreRefused) {
  const Scenario s = scenario(lock_three_times);
  const Saved one = shard_of(s, 0, 2);
  EXPECT_THAT(shards_progress(std::vector{one, one}).error(), HasSubstr("twice"));
  EXPECT_THAT(shards_progress({}).error(), HasSubstr("nothing"));
}

TEST(Saved, WhatIsNoSavedFileIsRefused) {
  for (const char* text : {"", "{", "[]", "{\"teeio_explore\": 2}", "{\"teeio_explore\": 1}"})
    EXPECT_FALSE(parse_saved(text).has_value()) << text;
}

}  // namespace
}  // namespace teeio::explore
