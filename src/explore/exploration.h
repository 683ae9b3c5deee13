#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "explore/strategy.h"
#include "schedule/fiber_controller.h"

namespace teeio::explore {

/// A schedule that showed something wrong.
struct BadSchedule {
  schedule::Finding finding;
  Choices choices;  ///< for Replay
  std::string story;
};

/// What many runs of one program showed.
struct Exploration {
  std::uint64_t schedules = 0;  ///< runs, pruned ones included
  std::uint64_t pruned = 0;
  std::uint64_t points = 0;
  bool exhausted = false;  ///< the strategy had no further schedule
  std::optional<BadSchedule> bad;
};

/// Runs `body` under the schedules of `strategy` until one shows something
/// wrong, none is left, or `max_schedules` have run. `body` makes everything it
/// uses anew each time and joins every task that it spawns.
[[nodiscard]] Exploration run_schedules(Strategy& strategy, const std::function<void()>& body,
                                        std::uint64_t max_schedules,
                                        schedule::RunLimits limits = {});

/// The finding in words, its steps, and the choices that replay it.
[[nodiscard]] std::string to_text(const BadSchedule& bad);

}  // namespace teeio::explore
