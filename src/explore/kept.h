#pragma once

#include <optional>
#include <string>
#include <vector>

#include "explore/run.h"
#include "explore/scenario.h"

namespace teeio::explore {

/// What the schedules that a scenario brings along showed.
struct KeptRuns {
  std::optional<ScenarioResult> found;  ///< of the first that showed something
  std::vector<std::string> warnings;    ///< of those that do not fit the program any more
};

/// Runs Scenario::kept, one after the other; none with StrategyKind::kReplay. What
/// is found is shrunk if the options say so.
[[nodiscard]] KeptRuns run_kept(const Scenario& scenario, const Options& options);

}  // namespace teeio::explore
