#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace teeio::report {

/// Columns that UTF-8 text takes: ours has no wide characters.
[[nodiscard]] std::size_t columns_of(std::string_view text);

/// What may stand in a picture: control characters become '?', bytes that are no
/// UTF-8 become U+FFFD. A program's paths may have either.
[[nodiscard]] std::string printable(std::string_view text);

/// Breaks at blanks, at least one line; a word longer than a line is cut.
[[nodiscard]] std::vector<std::string> wrap(std::string_view text, std::size_t width);

}  // namespace teeio::report
