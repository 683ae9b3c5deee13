#pragma once

#include <string>
#include <string_view>

namespace teeio::explore {

/// With broken UTF-8 replaced: a path of the user's may be of any bytes.
[[nodiscard]] std::string valid_utf8(std::string_view text);

/// What XML 1.0 can carry, escaped for an attribute or an element.
[[nodiscard]] std::string xml(std::string_view text);

}  // namespace teeio::explore
