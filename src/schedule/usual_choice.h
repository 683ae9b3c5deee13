#pragma once

#include <cstdint>
#include <limits>

#include "schedule/strategy.h"

namespace teeio::schedule {

/// What a choice says that is the usual one where it is made, whichever that is: the
/// task that moved last goes on, or the first of those that can; nothing fails. Runs
/// record these so that their text has switches only; of either kind they mean the same.
inline constexpr std::uint32_t kUsualValue = std::numeric_limits<std::uint32_t>::max();
inline constexpr Choice kUsualChoice{Choice::Kind::kTask, kUsualValue};

}  // namespace teeio::schedule
