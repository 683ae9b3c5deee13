#pragma once

#include <functional>
#include <string_view>

namespace teeio::schedule {

/// From now on `watch` is told what each choice of an explored run was about that did not
/// go the ordinary way; empty: nobody is. For tests, natively and between two runs.
void watch_choices(std::function<void(std::string_view what)> watch);

}  // namespace teeio::schedule
