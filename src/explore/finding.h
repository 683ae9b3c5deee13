#pragma once

#include <span>
#include <string>
#include <string_view>

#include "schedule/fiber_controller.h"

namespace teeio::explore {

/// What kind of thing a finding is, in a word or two: "R1" to "R10" for a broken
/// life-cycle rule, "deadlock", "lost wake-up", "livelock", "lock order",
/// "use after free", "use after last put", "leak", "nondeterminism", else "check".
[[nodiscard]] std::string finding_rule(const schedule::Finding& finding);

/// All that finding_rule() may say, and "nondeterminism".
[[nodiscard]] std::span<const std::string_view> finding_rules();

/// How the check begins that says that a run is not a function of its schedule.
inline constexpr std::string_view kVaries = "something outside the schedule varies";

}  // namespace teeio::explore
