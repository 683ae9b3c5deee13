#pragma once

#include <cstdint>

#include "explore/run.h"
#include "explore/scenario.h"
#include "explore/strategy.h"

namespace teeio::explore {

/// Runs `scenario` once with `choices` and says what it showed; nothing if no
/// finding came.
[[nodiscard]] std::optional<Failure> replay(const Scenario& scenario, const Choices& choices);

/// The failing schedule with the fewest switches and failures that was found
/// from `failure`, with the same rule and, in a user's file, of the same line: turns of a task are
/// joined with its turn before or after, failures are left out, as long as a run shows the same;
/// then schedules with fewer preemptions are tried. What is given back has been replayed. At most
/// kShrinkRuns runs, so the same every time.
[[nodiscard]] Failure shrink(const Scenario& scenario, const Failure& failure);
inline constexpr std::uint64_t kShrinkRuns = 3'000;
/// A run that ends in a finding keeps its memory (fiber_controller.h).
inline constexpr std::uint64_t kShrinkFindings = 150;

}  // namespace teeio::explore
