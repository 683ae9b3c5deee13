#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "object/event.h"

namespace teeio::report {

/// What a run consisted of, in numbers.
struct Summary {
  std::array<std::uint64_t, object::kLaneCount> calls_made{};  ///< by the caller's lane
  std::array<std::uint64_t, object::kLaneCount> calls_into{};  ///< by the target's
  std::array<std::uint64_t, object::kLaneCount> states{};      ///< by lane
  std::map<std::string, std::uint64_t> refusals;               ///< "TDH.MMIO.UNMAP = TDX_..."
  std::map<std::string, std::uint64_t> expected;               ///< answers of the normal course
  std::array<bool, object::kLaneCount> acted{};
};
[[nodiscard]] Summary summarize(const std::deque<object::Event>& events);

/// A few lines of `width` columns: calls and states a lane, then what was refused and how often.
[[nodiscard]] std::string summary_text(const Summary& summary, std::size_t width);

}  // namespace teeio::report
