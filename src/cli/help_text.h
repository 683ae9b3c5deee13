#pragma once

#include <string>

namespace teeio::cli {

/// A help in lines of 80 columns: what an option means goes on below itself. What it takes
/// ("--suite {doe,spdm10,…}") stays on one line, however long: completion reads it.
[[nodiscard]] std::string fit_help(const std::string& help);

}  // namespace teeio::cli
