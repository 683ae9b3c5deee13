// Every built-in scenario on every built-in design, as far as CI has time for:
// `teeio explore` runs them to their end.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "explore/run.h"
#include "explore/scenario/catalogue.h"

namespace teeio::explore {
namespace {

std::vector<Scenario> all() {
  std::vector<Scenario> made;
  for (const MachineScenario& scenario : catalogue())
    for (const machine::Config& design : default_designs())
      // meddle/*: to the end in adversaries_test.cc
      if (applies(scenario, design) && !scenario.name.starts_with("meddle/"))
        made.push_back(make_scenario(scenario, design));
  return made;
}

std::string test_name(const testing::TestParamInfo<Scenario>& info) {
  std::string name = info.param.name;
  std::ranges::replace_if(
      name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}

class BuiltIn : public testing::TestWithParam<Scenario> {};

TEST_P(BuiltIn, EndsAsItSaysInTheFirstOrders) {
  constexpr std::uint64_t kOrders = 200;
  constexpr double kSeconds = 2;
  const ScenarioResult result =
      run_scenario(GetParam(), {.max_schedules = kOrders, .seconds = kSeconds});
  RecordProperty("schedules", static_cast<int>(result.schedules));
  EXPECT_TRUE(result.as_expected) << (result.failure
                                          ? result.failure->rule + ": " + result.failure->what +
                                                '\n' + result.failure->story
                                          : "expected " + result.expected.str());
  EXPECT_GT(result.schedules, 0U);
}

INSTANTIATE_TEST_SUITE_P(Scenario, BuiltIn, testing::ValuesIn(all()), test_name);

// A function-level reset, also that of VFIO's last close, may take the DOE answer
// away that tsm/disconnect waits for. Depth first that order is far away.
TEST(BuiltInScenario, ResetsAgainstDisconnectHoldInOrdersFromEverywhere) {
  constexpr std::uint64_t kOrders = 400;
  constexpr double kSeconds = 3;
  const std::set<std::string> wanted = {"card/reset-against-disconnect", "kill/against-disconnect",
                                        "close/exit-against-disconnect"};
  for (const Scenario& scenario : all()) {
    if (!wanted.contains(scenario.name.substr(0, scenario.name.find('@')))) continue;
    const ScenarioResult result = run_scenario(
        scenario, {.strategy = StrategyKind::kPct, .max_schedules = kOrders, .seconds = kSeconds});
    EXPECT_FALSE(result.failure.has_value())
        << scenario.name << ": " << result.failure->rule << ": " << result.failure->what;
  }
}

// A message that fails takes an authenticated session along. That is told by the calls after it,
// and breaks no rule.
TEST(BuiltInScenario, FailuresHoldInAuthenticatedSessions) {
  const std::set<std::string> wanted = {"failure/bind", "failure/unbind", "failure/requests"};
  std::size_t explored = 0;
  for (const MachineScenario& scenario : catalogue()) {
    if (!wanted.contains(scenario.name)) continue;
    for (machine::Config design : default_designs()) {
      if (design.tsm != machine::TsmKind::kCca || !applies(scenario, design)) continue;
      for (machine::CardConfig& card : design.cards) card.spdm = machine::SpdmChannel::kSession;
      const ScenarioResult result =
          run_scenario(make_scenario(scenario, design), {.max_schedules = 400, .seconds = 0});
      EXPECT_FALSE(result.failure.has_value())
          << scenario.name << ": " << result.failure->rule << ": " << result.failure->what;
      EXPECT_TRUE(result.failure || result.verdict == ScenarioResult::Verdict::kExhausted)
          << scenario.name;
      ++explored;
    }
  }
  EXPECT_GE(explored, wanted.size());
}

// The same choices make the same run: what a replay command lives on.
TEST(BuiltInScenario, DoesTheSameInASecondRunOfOneSchedule) {
  std::set<std::string> themes;
  for (const Scenario& scenario : all()) {
    if (!themes.insert(scenario.name.substr(0, scenario.name.find('/'))).second) continue;
    const ScenarioResult result =
        run_scenario(scenario, {.max_schedules = 5, .check_determinism = true});
    EXPECT_TRUE(!result.failure || result.as_expected)
        << scenario.name << ": " << result.failure->what;
  }
}

TEST(BuiltInScenario, NamesAreUniqueAndThereAreForty) {
  std::set<std::string> names;
  for (const MachineScenario& scenario : catalogue())
    EXPECT_TRUE(names.insert(scenario.name).second) << scenario.name;
  EXPECT_GE(names.size(), 40U);
}

}  // namespace
}  // namespace teeio::explore
