#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "schedule/seeded_bug.h"

namespace teeio::explore {

/// What a seeded bug is, and whose it was; docs/seeded-bugs.md is made from it.
struct SeededBugInfo {
  std::string_view name;    ///< of --seeded-bug, and of schedule::seeded(): "two-vdevices"
  std::string_view what;    ///< the mistake, in one sentence
  std::string_view place;   ///< the function that makes it
  std::string_view source;  ///< whose bug it was, where and when
  [[nodiscard]] constexpr schedule::SeededBug bug() const {
    return schedule::SeededBug::named(name);
  }
};
[[nodiscard]] std::span<const SeededBugInfo> seeded_bugs();
[[nodiscard]] const SeededBugInfo& seeded_bug_info(schedule::SeededBug bug);
[[nodiscard]] std::optional<schedule::SeededBug> parse_seeded_bug(std::string_view name);

}  // namespace teeio::explore
