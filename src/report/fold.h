#pragma once

#include <deque>
#include <vector>

#include "object/event.h"

namespace teeio::report {

/// Events that are drawn as one, and how deep they are nested.
struct Fold {
  std::vector<const object::Event*> events;  ///< equal calls, ascending; never empty
  unsigned depth = 0;                        ///< calls in progress around the first
};

/// Every event exactly once, in folds, in order of their first events.
///
/// What repeats without anything between is folded: one call over and over, or a
/// pattern of up to four (block, track, unmap, block, track, unmap, …), each with
/// all that happened inside of it. Two calls are equal when lanes, name, function,
/// VM and outcome are, and so is everything inside of them; arguments may differ.
[[nodiscard]] std::vector<Fold> fold(const std::deque<object::Event>& events);

}  // namespace teeio::report
