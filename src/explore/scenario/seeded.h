#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "explore/run.h"
#include "schedule/seeded_bug.h"

namespace teeio::explore {

/// Which scenario finds a seeded bug, and how.
struct SeededScenario {
  schedule::SeededBug bug;
  std::string_view scenario;  ///< of the catalogue
  std::string_view design;    ///< of default_designs()
  StrategyKind strategy;
  /// Part of what the finding says.
  std::string_view expected;
  /// Why the schedule without preemption, or random ones, find it as well; empty
  /// where they must not.
  std::string_view easy_because;
};
/// One for each seeded bug, in their order.
[[nodiscard]] std::span<const SeededScenario> seeded_scenarios();

/// The scenario on its design, ready to run.
[[nodiscard]] Scenario seeded_scenario(const SeededScenario& seeded);

/// What exploration and its poor relations say of one seeded bug.
struct SeededResult {
  ScenarioResult found;      ///< by the strategy named, with the bug planted
  bool first_finds = false;  ///< the schedule without preemption shows it too
  /// Which of kRandomSchedules random ones shows it first, from 1.
  std::optional<std::uint64_t> random_finds;
};
inline constexpr std::uint64_t kRandomSchedules = 1'000;
/// Limits within which each must be found.
inline constexpr double kSeededSeconds = 60;
inline constexpr std::uint64_t kSeededSchedules = 200'000;

enum class Compare : std::uint8_t { kNo, kYes };
/// Plants the bug and looks for it, for at most `seconds` (0: no limit) and
/// kSeededSchedules. `compare`: with the poor relations too.
[[nodiscard]] SeededResult find_seeded(const SeededScenario& seeded, Compare compare,
                                       double seconds = kSeededSeconds);

}  // namespace teeio::explore
