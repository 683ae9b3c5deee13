#pragma once

#include <deque>
#include <string>

#include "object/event.h"

namespace teeio::report {

/// One line an event, "  12 VFIO -> IOMMUFD name ... = outcome (why)", indented
/// by the calls in progress around it. Same events, same bytes.
[[nodiscard]] std::string text(const std::deque<object::Event>& events);

}  // namespace teeio::report
