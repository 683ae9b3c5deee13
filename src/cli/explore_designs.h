#pragma once

#include "cli/explore_arguments.h"

namespace teeio::cli {

/// `teeio explore --designs[=FILE]`: every built-in scenario on the whole product
/// of disputed settings and firmwares, and a page of what came out. Its first
/// part is written by hand and kept. Gives an exit status.
[[nodiscard]] int explore_designs(const ExploreArguments& arguments);

/// `teeio explore --seeded-bugs FILE`: likewise, each seeded bug and what finds it.
[[nodiscard]] int explore_seeded_bugs(const std::string& file);

}  // namespace teeio::cli
