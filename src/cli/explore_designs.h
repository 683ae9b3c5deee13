#pragma once

#include <string>
#include <string_view>

#include "cli/explore_arguments.h"

namespace teeio::cli {

/// `teeio explore --designs[=FILE]`: every built-in scenario on the whole product
/// of disputed settings and firmwares, and a page of what came out. Its first
/// part is written by hand and kept. Gives an exit status.
[[nodiscard]] int explore_designs(const ExploreArguments& arguments);

/// `teeio explore --seeded-bugs FILE`: likewise, each seeded bug and what finds it.
[[nodiscard]] int explore_seeded_bugs(const std::string& file);

/// What is written by hand in a page of which the rest is generated: everything
/// before kGenerated, or `instead` if there is no such page.
[[nodiscard]] std::string written_by_hand(const std::string& path, const std::string& instead);
inline constexpr std::string_view kGenerated =
    "<!-- From here on written by teeio; what stands above is kept. -->\n";

}  // namespace teeio::cli
