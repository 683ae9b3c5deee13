#include "explore/scenario/text_head.h"

#include <fmt/format.h>

#include <algorithm>

#include "explore/finding.h"

namespace teeio::explore {
namespace {

/// A finding's kind as one word: "lost-wake-up".
std::string dashed(std::string_view rule) {
  std::string word(rule);
  std::ranges::replace(word, ' ', '-');
  return word;
}

std::string known_findings() {
  std::string known = "R1 to R10";
  for (const std::string_view rule : finding_rules())
    if (!rule.starts_with('R')) known += ", " + dashed(rule);
  return known;
}

}  // namespace

Parsed<> TextHead::only_one(Tokens line) {
  const auto [at, is_new] = said_.emplace(line.front().text, line.front().line);
  if (is_new) return {};
  return wrong(line.front(), fmt::format("a scenario has one `{}`, and line {} is it",
                                         line.front().text, at->second));
}

void TextHead::replayed_on(Tokens firmwares) {
  replayed_on_.insert(replayed_on_.end(), firmwares.begin(), firmwares.end());
}

Parsed<> TextHead::fits(const TextScenario& scenario) const {
  if (!scenario.fails.empty() && failures_ && scenario.failures == 0)
    return wrong(*failures_, fmt::format("`fail {}` in line {} wants at least 1 failure",
                                         scenario.fails, scenario.fails_line));
  for (const TextToken& token : replayed_on_) {
    const auto is_it = [&](const machine::TsmKind& kind) { return kind.name == token.text; };
    if (!scenario.firmware.empty() && std::ranges::none_of(scenario.firmware, is_it))
      return wrong(token,
                   fmt::format("`firmware` leaves {} out, so it is replayed on none", token.text));
  }
  return {};
}

Parsed<> parse_expectation(Tokens line, Expectation& expectation) {
  if (expectation.breaks()) return wrong(line.front(), "a scenario has one `expect`");
  if (line.size() < 2) return missing(line.front(), "a finding is missing: " + known_findings());
  for (const TextToken& token : line.subspan(1)) {
    if (!expectation.text.empty()) return wrong(token, "nothing may follow the quoted words");
    if (token.kind == TextToken::Kind::kQuoted) {
      if (token.text.empty()) return wrong(token, "between the quotes stand words of the finding");
      expectation.text = token.text;
      continue;
    }
    const auto rule = std::ranges::find_if(
        finding_rules(), [&](std::string_view known) { return dashed(known) == token.text; });
    if (token.kind != TextToken::Kind::kWord || rule == finding_rules().end())
      return wrong(token,
                   fmt::format("`{}` is no finding; allowed are {}", token.text, known_findings()));
    expectation.rules.emplace_back(*rule);
  }
  return {};
}

}  // namespace teeio::explore
