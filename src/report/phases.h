#pragma once

#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "object/event.h"

namespace teeio::report {

/// A part of a run that has a name: from the event `seq` to the next phase.
struct Phase {
  std::uint64_t seq = 0;
  std::string_view title;  ///< literal: "bind"
};

/// The phases of a run, ascending: connect, build the VM, bind, attest, accept,
/// start, unbind, close …, as far as they happened and in the order in which they
/// did. What is before the first belongs to none. Works from the names of calls and
/// states, for every vendor's firmware.
[[nodiscard]] std::vector<Phase> find_phases(const std::deque<object::Event>& events);

}  // namespace teeio::report
