#pragma once

#include <optional>
#include <string>

#include "run/dispatch.h"

namespace teeio::run {

/// Which argument of a call is a path; nullopt: none.
[[nodiscard]] std::optional<unsigned> path_argument(const Row& row);

/// Whether `-v` may have a line for that call.
[[nodiscard]] bool has_line(const Row& row);

/// A call that nobody described, for `-v`: its name, and the path or the file that it is
/// about: `readlink("/sys/bus/pci/devices/0000:01:00.0")`.
[[nodiscard]] std::string plain_text(Call& call, const Row& row);

}  // namespace teeio::run
