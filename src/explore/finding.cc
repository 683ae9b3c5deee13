#include "explore/finding.h"

#include <array>
#include <utility>

#include "schedule/controller.h"

namespace teeio::explore {
namespace {

using Kind = schedule::Finding::Kind;

/// How checks speak, and what they are called; the first that fits.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kSentences = {{
    {"against the lock order", "lock order"},
    {schedule::kUsedAfterFree, "use after free"},
    {"whose last one is gone", "use after last put"},
    {"that nobody holds", "use after last put"},
    {"is destroyed while it is held", "use after free"},
    {"lives on after its run", "leak"},
    {kVaries, "nondeterminism"},
}};

/// "R3" of "R3: a VM ...", else empty.
std::string_view rule_number(std::string_view what) {
  if (!what.starts_with('R')) return {};
  const std::size_t colon = what.find(':');
  if (colon == std::string_view::npos || colon < 2 || colon > 3) return {};
  const std::string_view digits = what.substr(1, colon - 1);
  if (digits.find_first_not_of("0123456789") != std::string_view::npos) return {};
  return what.substr(0, colon);
}

std::string_view check_rule(std::string_view what) {
  if (const std::string_view number = rule_number(what); !number.empty()) return number;
  for (const auto& [sentence, rule] : kSentences)
    if (what.find(sentence) != std::string_view::npos) return rule;
  return "check";
}

constexpr std::string_view kRules[] = {
    "R1",
    "R2",
    "R3",
    "R4",
    "R5",
    "R6",
    "R7",
    "R8",
    "R9",
    "R10",
    "deadlock",
    "lost wake-up",
    "livelock",
    "lock order",
    "use after free",
    "use after last put",
    "leak",
    "nondeterminism",
    "check",
};

}  // namespace

std::span<const std::string_view> finding_rules() { return kRules; }

std::string finding_rule(const schedule::Finding& finding) {
  switch (finding.kind) {
    case Kind::kCheck:
      return std::string(check_rule(finding.what));
    case Kind::kDeadlock:
      return "deadlock";
    case Kind::kLostWakeup:
      return "lost wake-up";
    case Kind::kLivelock:
      return "livelock";
  }
  return "?";
}

}  // namespace teeio::explore
