#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "explore/jobs/verdict.h"
#include "explore/run.h"

namespace teeio::explore {

/// A scenario as reports have it.
struct Reported {
  std::string name;
  const ScenarioResult* result = nullptr;  ///< null: it was not explored to an end
  Judgement judgement;
  std::string replay;  ///< the command that shows a finding again; empty without one
};

/// "exhausted, 101 schedules", "bounded, 5000 schedules (5000 schedules, …)",
/// "broken as expected: R4, 17 schedules".
[[nodiscard]] std::string outcome(const ScenarioResult& result);

/// TAP 13: the head with the plan, then a line for each scenario, with a YAML block of
/// what is wrong and comments of what its calls answered.
[[nodiscard]] std::string tap_head(std::size_t scenarios);
[[nodiscard]] std::string tap_line(std::size_t number, const Reported& reported);

/// JUnit's XML: a test case for each scenario. One without a result is skipped,
/// because of `interrupted` ("SIGINT").
[[nodiscard]] std::string junit(const std::vector<Reported>& all, const std::string& interrupted);

}  // namespace teeio::explore
