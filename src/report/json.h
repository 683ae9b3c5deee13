#pragma once

#include <deque>
#include <string>

#include "object/event.h"

namespace teeio::report {

/// The run as Chrome trace events (https://ui.perfetto.dev opens it): one track
/// a lane, ts = Event::seq. A call is a slice on the track of its target, as long
/// as what happened inside of it, with a flow arrow from the caller's track; a
/// state is an instant. `args` carries what the chart's label says, and more.
///
/// Same events, same bytes. Text that is no UTF-8 (a program's path) is replaced.
[[nodiscard]] std::string chrome_trace(const std::deque<object::Event>& events);

}  // namespace teeio::report
