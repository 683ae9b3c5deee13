#pragma once

#include <expected>
#include <string>
#include <vector>

#include "cli/explore_arguments.h"
#include "explore/scenario.h"
#include "machine/config.h"

namespace teeio::cli {

/// The designs that were asked for. Errors: ready to print.
[[nodiscard]] std::expected<std::vector<machine::Config>, std::string> find_designs(
    const ExploreArguments& arguments);

/// The scenarios that were asked for, on the designs that were asked for: what
/// does not apply to a design is left out. Errors: ready to print.
[[nodiscard]] std::expected<std::vector<explore::Scenario>, std::string> find_scenarios(
    const ExploreArguments& arguments);

}  // namespace teeio::cli
