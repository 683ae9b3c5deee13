#pragma once

#include <expected>
#include <string>
#include <vector>

#include "cli/explore_arguments.h"
#include "explore/scenario.h"

namespace teeio::cli {

/// The scenarios that were asked for, on the designs that were asked for: what
/// does not apply to a design is left out. Errors: ready to print.
[[nodiscard]] std::expected<std::vector<explore::Scenario>, std::string> find_scenarios(
    const ExploreArguments& arguments);

}  // namespace teeio::cli
