#pragma once

#include <string>

#include "explore/run.h"

namespace teeio::cli {

/// A schedule as a sentence, from its story: "`closer` up to `lock
/// igroup->lock`, then `destroyer`".
[[nodiscard]] std::string schedule_in_words(const explore::Failure& failure);

/// The command that shows the failure of a built-in scenario again. `result` is
/// named "NAME@DESIGN"; `more` is further options, " --seeded-bug NAME".
[[nodiscard]] std::string replay_command(const explore::ScenarioResult& result,
                                         const std::string& more = {});

/// What is written by hand in a page of which the rest is generated: everything
/// before kGenerated, or `instead` if there is no such page.
[[nodiscard]] std::string written_by_hand(const std::string& path, const std::string& instead);
inline constexpr std::string_view kGenerated =
    "<!-- From here on written by teeio; what stands above is kept. -->\n";

}  // namespace teeio::cli
