#pragma once

#include <string>
#include <vector>

namespace teeio::run {

/// The entries of a directory that are numbers, such as those of /proc and of
/// /proc/<tid>/fd, in its order; empty when it cannot be read.
[[nodiscard]] std::vector<int> numbered_entries(const std::string& path);

}  // namespace teeio::run
