// Any two calls at the same time, in a few random orders of each, as far as CI has time
// for. `teeio explore 'pair/*'` has the rest.

#include "explore/scenario/pairs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "explore/run.h"

namespace teeio::explore {
namespace {

struct Where {
  std::size_t design;  ///< of default_designs()
  std::string_view state;
};

class Pairs : public testing::TestWithParam<Where> {};

TEST_P(Pairs, HoldInAFewRandomOrders) {
  constexpr std::uint64_t kOrders = 2;
  const machine::Config& design = default_designs()[GetParam().design];
  const std::string prefix = "pair/" + std::string(GetParam().state) + '/';
  for (const MachineScenario& pair : pairs()) {
    if (!pair.name.starts_with(prefix) || !applies(pair, design)) continue;
    const ScenarioResult result =
        run_scenario(make_scenario(pair, design),
                     {.strategy = StrategyKind::kPct, .max_schedules = kOrders, .shrink = false});
    EXPECT_FALSE(result.failure.has_value())
        << pair.name << ": " << result.failure->rule << ": " << result.failure->what;
  }
}

constexpr Where kPlaces[] = {{0, "ready"}, {0, "bound"}, {1, "bound"}, {2, "bound"}, {0, "vm"}};
INSTANTIATE_TEST_SUITE_P(Design, Pairs, testing::ValuesIn(kPlaces), [](const auto& place) {
  return default_designs()[place.param.design].name + '_' + std::string(place.param.state);
});

// Each was a finding, within fewer orders.
struct Mended {
  std::string_view pair;
  std::string_view design;
  std::uint64_t orders;
};

class MendedPairs : public testing::TestWithParam<Mended> {};

TEST_P(MendedPairs, HoldInManyOrders) {
  const auto& designs = default_designs();
  const auto design = std::ranges::find(designs, GetParam().design, &machine::Config::name);
  ASSERT_NE(design, designs.end());
  const auto pair = std::ranges::find(pairs(), GetParam().pair, &MachineScenario::name);
  ASSERT_NE(pair, pairs().end());
  const ScenarioResult result = run_scenario(
      make_scenario(*pair, *design),
      {.strategy = StrategyKind::kDpor, .max_schedules = GetParam().orders, .shrink = false});
  EXPECT_FALSE(result.failure.has_value())
      << pair->name << ": " << result.failure->rule << ": " << result.failure->what;
}

constexpr Mended kMended[] = {
    // A vCPU freed with its descriptor, and its number given away before what the vendor has.
    {"pair/ready/CREATE_VCPU+CREATE_VCPU", "sev", 40},
    // `reset` in sysfs wrote back what the last close had reset.
    {"pair/ready/vfio-close+sysfs-reset", "cca", 60},
    {"pair/bound/vfio-close+sysfs-reset", "tdx", 60},
    // Who plays a TD's guest was not got out of it.
    {"pair/bound/GUEST_REQUEST+PUNCH_HOLE", "tdx", 40},
    {"pair/bound/GUEST_REQUEST+disconnect", "tdx", 40},
    // A connection that a reset broke.
    {"pair/ready/connect+reset", "sev", 20},
    {"pair/bound/connect+vfio-close", "cca", 25},
};
INSTANTIATE_TEST_SUITE_P(Mended, MendedPairs, testing::ValuesIn(kMended), [](const auto& place) {
  std::string name = std::string(place.param.pair) + '_' + std::string(place.param.design);
  std::ranges::replace_if(
      name, [](char letter) { return letter == '/' || letter == '+' || letter == '-'; }, '_');
  return name;
});

/// What the first thread of "CALL+CALL" answers where nobody interrupts it: "ok", also if it is
/// what is known to be the only answer there.
std::string answer_of(const MachineScenario& pair, const machine::Config& design) {
  const ScenarioResult result = run_scenario(make_scenario(pair, design),
                                             {.strategy = StrategyKind::kReplay, .shrink = false});
  const CallAnswers& call = result.answers.front();
  if (call.answers.empty()) return "none";
  const std::string& answer = call.answers.front().answer;
  return call.allowed == std::vector{answer} ? "ok" : answer;
}

// A call that every state refuses is set against others in vain.
TEST(PairCalls, EachSucceedsInAState) {
  for (const machine::Config& design : default_designs()) {
    std::map<std::string, std::string> answers;
    for (const MachineScenario& pair : pairs()) {
      const std::string both = pair.name.substr(pair.name.rfind('/') + 1);
      const std::string call = both.substr(0, both.find('+'));
      if (both != call + '+' + call || !applies(pair, design)) continue;
      std::string& answer = answers[call];
      if (answer != "ok") answer = answer_of(pair, design);
    }
    EXPECT_GT(answers.size(), 50U);
    for (const auto& [call, answer] : answers)
      EXPECT_EQ(answer, "ok") << call << " on " << design.name;
  }
}

TEST(PairCalls, OneThatNeverSucceededIsToldOverAllPairs) {
  AnswersOfMany many;
  CallAnswers call{.where = "pair",
                   .call = "RUN",
                   .allowed = {},
                   .of_many = true,
                   .answers = {{"ENXIO", 3, "no guest"}}};
  many.add("pair/ready/RUN+RUN@cca", {call, call});
  many.add("pair/bound/RUN+RUN@cca", {call});
  EXPECT_EQ(many.never_succeeded(),
            std::vector<std::string>{"RUN@cca never succeeded in any of the 2 scenarios "
                                     "that made the call: ENXIO ×9, no guest"});
  call.answers = {{"ok", 1, ""}};
  many.add("pair/bound/RUN+BIND@tdx", {call});
  EXPECT_EQ(many.never_succeeded().size(), 1U) << "another design's";
  many.add("pair/bound/RUN+BIND@cca", {call});
  EXPECT_TRUE(many.never_succeeded().empty());
  EXPECT_TRUE(vacuous({{.where = "pair",
                        .call = "RUN",
                        .allowed = {},
                        .of_many = true,
                        .answers = {{"ENXIO", 3, ""}}}})
                  .empty());
}

TEST(PairNames, AreUniqueAndMany) {
  std::set<std::string> names;
  for (const MachineScenario& pair : pairs()) EXPECT_TRUE(names.insert(pair.name).second);
  EXPECT_GE(names.size(), 2'000U);
}

}  // namespace
}  // namespace teeio::explore
