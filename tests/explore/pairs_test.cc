// Any two calls at the same time, in a few random orders of each, as far as CI has time
// for. `teeio explore 'pair/*'` has the rest.

#include "explore/scenario/pairs.h"

#include <gtest/gtest.h>

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

constexpr Where kPlaces[] = {{0, "ready"}, {0, "bound"}, {1, "bound"}, {2, "bound"}};
INSTANTIATE_TEST_SUITE_P(Design, Pairs, testing::ValuesIn(kPlaces), [](const auto& place) {
  return default_designs()[place.param.design].name + '_' + std::string(place.param.state);
});

TEST(PairNames, AreUniqueAndMany) {
  std::set<std::string> names;
  for (const MachineScenario& pair : pairs()) EXPECT_TRUE(names.insert(pair.name).second);
  EXPECT_GE(names.size(), 2'000U);
}

}  // namespace
}  // namespace teeio::explore
