#include "rules/verdict.h"

#include <fmt/format.h>

#include <algorithm>

namespace teeio::rules {
namespace {

/// "4 reports: R4 ×2, R2 ×2, first at event 776"; empty without any.
std::string counted(std::string_view word, const Ending& ending, Severity severity) {
  std::vector<std::pair<RuleId, std::size_t>> counts;
  std::size_t all = 0;
  std::uint64_t first = 0;
  for (const Violation& violation : ending.violations) {
    if (ending.verdict.selection().of(violation.rule) != severity) continue;
    if (all++ == 0) first = violation.seq;
    const auto at =
        std::ranges::find(counts, violation.rule, [](const auto& c) { return c.first; });
    if (at == counts.end())
      counts.emplace_back(violation.rule, 1);
    else
      ++at->second;
  }
  if (all == 0) return {};
  std::string rules;
  for (const auto& [rule, count] : counts) {
    rules += (rules.empty() ? "" : ", ") + rule_name(rule);
    if (count > 1) rules += fmt::format(" ×{}", count);
  }
  return fmt::format("{} {}{}: {}, {}", all, word, all == 1 ? "" : "s", rules,
                     first == 0 ? "at the end" : fmt::format("first at event {}", first));
}

}  // namespace

bool Verdict::admits(const Violation& violation) {
  if (selection_.of(violation.rule) == Severity::kOff) return false;
  return !suppressions_.covers(violation);
}

bool Verdict::is_broken(const std::vector<Violation>& violations) const {
  return std::ranges::any_of(violations, [this](const Violation& violation) {
    return selection_.of(violation.rule) == Severity::kError;
  });
}

std::string last_line(const Ending& ending) {
  std::string said = counted("report", ending, Severity::kError);
  const std::string warned = counted("warning", ending, Severity::kWarn);
  if (!said.empty() && !warned.empty()) said += "; ";
  said += warned;
  if (said.empty() && !ending.differences.empty())
    said = "the machine differs from its state at boot";
  if (said.empty()) said = "the machine is as it was at boot";
  if (said.ends_with("as it was at boot") && ending.settings_changed)
    said += ", but for what the program set or removed";
  if (const std::uint64_t used = ending.verdict.suppressions().used(); used != 0)
    said += fmt::format("; {} suppressed", used);
  return fmt::format("teeio: {}; exit {}", said, ending.exit);
}

}  // namespace teeio::rules
