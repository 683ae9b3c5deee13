// No rule is one that nothing can break: each is broken first of all in some scenario by a bug that
// is planted.

#include <gtest/gtest.h>

#include <cctype>
#include <map>
#include <string>

#include "explore/run.h"
#include "explore/scenario/seeded.h"
#include "schedule/plant_bug.h"

namespace teeio::explore {
namespace {

/// Of the seeded bugs that a rule finds, the first of each rule.
std::map<std::string, const SeededScenario*> by_rule() {
  std::map<std::string, const SeededScenario*> found;
  for (const SeededScenario& seeded : seeded_scenarios())
    if (seeded.expected.size() > 1 && seeded.expected[0] == 'R' && std::isdigit(seeded.expected[1]))
      found.try_emplace(std::string(seeded.expected), &seeded);
  return found;
}

class EachRule : public testing::TestWithParam<int> {};

TEST_P(EachRule, IsBrokenByAPlantedBugInSomeScenario) {
  const std::string rule = "R" + std::to_string(GetParam());
  const auto all = by_rule();
  ASSERT_TRUE(all.contains(rule));
  const SeededScenario& seeded = *all.at(rule);
  const schedule::PlantedBug planted(seeded.bug);
  const ScenarioResult result =
      run_scenario(seeded_scenario(seeded), {.strategy = seeded.strategy, .max_schedules = 20'000});
  ASSERT_TRUE(result.failure.has_value()) << seeded.scenario;
  EXPECT_EQ(result.failure->rule, rule) << result.failure->what;
}

INSTANTIATE_TEST_SUITE_P(Rules, EachRule, testing::Range(1, 11),
                         [](const auto& rule) { return "R" + std::to_string(rule.param); });

}  // namespace
}  // namespace teeio::explore
