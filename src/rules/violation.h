#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "object/event.h"

namespace teeio::rules {

/// The life-cycle rules, numbered as in ARCHITECTURE.md.
enum class RuleId : std::uint8_t { kR1 = 1, kR2, kR3, kR4, kR5, kR6, kR7, kR8, kR9, kR10 };
inline constexpr std::size_t kRuleCount = 10;

/// What a rule says, and where it comes from.
struct RuleText {
  RuleId id;
  std::string_view title;  ///< "the host reaches a bound device": what a report's first line says
  std::string_view sentence;  ///< the rule itself
  std::string_view source;    ///< specification, kernel function or list message behind it
};
[[nodiscard]] const RuleText& rule_text(RuleId id);

/// One event of a finding, kept after the event itself is gone.
struct Evidence {
  std::uint64_t seq = 0;  ///< Event::seq; 0 for a line that is no event
  std::string text;

  static Evidence of(const object::Event& event);
};

/// A rule that was broken.
struct Violation {
  RuleId rule = RuleId::kR1;
  std::uint64_t seq = 0;             ///< Event::seq of what broke it; 0 for the end of the run
  std::optional<Bdf> function = {};  ///< whom it is about, if it is a function
  std::string what;                  ///< one sentence: which device or VM, and what happened to it
  object::Origin origin;             ///< who did it; pid 0 for the machine itself
  std::vector<Evidence> stack;       ///< calls in progress, innermost first
  std::vector<Evidence> events;      ///< what led there, oldest first
};

/// The report of one violation, in the manner of a sanitizer; ends with a newline.
///
/// The format is stable: the first line starts with "ERROR: teeio: R<n> ", the
/// last with "SUMMARY: teeio: R<n> ", and every event is named "[seq]".
[[nodiscard]] std::string violation_text(const Violation& violation);

}  // namespace teeio::rules
