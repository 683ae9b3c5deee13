#pragma once

#include <deque>
#include <string>

#include "object/event.h"
#include "report/picture.h"

namespace teeio::report {

/// A run as one HTML file that needs nothing else: no network, no other file. Has
/// all three levels, folds by phase, and shows for each event what it was, what it
/// was inside of, and, for a broken rule, its report. `#e772` in its address shows
/// an event, `#R4` the first that broke a rule.
[[nodiscard]] std::string html_page(const std::deque<object::Event>& events, const RunInfo& info);

}  // namespace teeio::report
