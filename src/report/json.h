#pragma once

#include <deque>
#include <string>

#include "object/event.h"
#include "report/picture.h"

namespace teeio::report {

/// The run as Chrome trace events (https://ui.perfetto.dev opens it): a track a
/// lane, more where calls of several threads overlap; ts = Event::seq, dur = events
/// inside. A call is a slice on the track of its target, with a flow arrow from
/// inside a slice of the caller: the call around it, or one of its own on the
/// caller's track. A state is an instant, and so is a broken rule, with its report
/// in `args`. `otherData` has what the run was.
///
/// Same events, same bytes. Text that is no UTF-8 (a program's path) is replaced.
[[nodiscard]] std::string chrome_trace(const std::deque<object::Event>& events,
                                       const RunInfo& info = {});

}  // namespace teeio::report
