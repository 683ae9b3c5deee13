#pragma once

#include <string>

#include "explore/run.h"

namespace teeio::explore {

/// A schedule as a sentence, from its story: "`closer` up to `lock
/// igroup->lock`, then `destroyer`".
[[nodiscard]] std::string schedule_in_words(const Failure& failure);

/// The command that shows the failure of a built-in scenario again. `result` is
/// named "NAME@DESIGN"; `more` is further options, " --seeded-bug NAME".
[[nodiscard]] std::string replay_command(const ScenarioResult& result,
                                         const std::string& more = {});

}  // namespace teeio::explore
