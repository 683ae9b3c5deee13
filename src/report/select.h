#pragma once

#include <cstdint>
#include <deque>
#include <set>

#include "object/event.h"
#include "report/picture.h"

namespace teeio::report {

/// The events that a level shows, ascending, as copies whose `parent` is the
/// nearest call that is shown too. `pinned` are shown at every level.
///
/// kCalls has one event for each group of calls that says little by itself: it has
/// the group's name ("build the TD"), the number of its first event, and
/// "(97–324)" as its detail. kAll returns all.
[[nodiscard]] std::deque<object::Event> select(const std::deque<object::Event>& events, Level level,
                                               const std::set<std::uint64_t>& pinned);

/// Whether a refusal is part of the normal course: the firmware's "nothing to
/// flush", an exit that KVM reports as an error. Such a call is drawn as answered.
[[nodiscard]] bool is_expected(const object::Event& event);

}  // namespace teeio::report
