#pragma once

#include <string_view>
#include <vector>

namespace teeio::tdx {

/// Host leaves that the module has, by name, sorted.
[[nodiscard]] std::vector<std::string_view> leaf_names();

}  // namespace teeio::tdx
