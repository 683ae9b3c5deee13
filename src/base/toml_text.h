#pragma once

#include <cstddef>
#include <string_view>

namespace teeio {

/// What toml++ must not be given: it makes a table of each part of a dotted key and takes tables
/// apart by recursion, so that a key of tens of thousands of parts is the end of the stack. (How
/// deep values nest it limits itself.) The line in which there are too many parts; 0: there are
/// none.
[[nodiscard]] std::size_t line_of_too_many_parts(std::string_view toml);

}  // namespace teeio
