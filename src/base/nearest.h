#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace teeio {

/// The word of `known` that `word` is most likely meant to be: it begins so, or few
/// letters differ, not counting small and large ones. Empty if none is near.
[[nodiscard]] std::string nearest(std::string_view word, const std::vector<std::string>& known);

/// "a, b or c".
[[nodiscard]] std::string any_of(const std::vector<std::string>& words);

}  // namespace teeio
