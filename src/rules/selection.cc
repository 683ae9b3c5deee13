#include "rules/selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ranges>

namespace teeio::rules {
namespace {

constexpr std::array kSeverities = {Severity::kError, Severity::kWarn, Severity::kOff};

std::optional<Severity> severity_of(std::string_view name) {
  const auto at = std::ranges::find(kSeverities, name, severity_name);
  if (at == kSeverities.end()) return std::nullopt;
  return *at;
}

}  // namespace

std::string_view severity_name(Severity severity) {
  switch (severity) {
    case Severity::kError:
      return "error";
    case Severity::kWarn:
      return "warn";
    case Severity::kOff:
      return "off";
  }
  return "?";
}

std::optional<RuleId> rule_of(std::string_view name) {
  if (name.size() < 2 || (name[0] != 'R' && name[0] != 'r')) return std::nullopt;
  const char* const end = name.data() + name.size();
  unsigned number = 0;
  const auto [stop, error] = std::from_chars(name.data() + 1, end, number);
  if (error != std::errc{} || stop != end || number < 1 || number > kRuleCount) return std::nullopt;
  return static_cast<RuleId>(number);
}

std::string rule_name(RuleId id) { return fmt::format("R{}", static_cast<unsigned>(id)); }

std::expected<Selection, std::string> Selection::parse(std::string_view text) {
  Selection selection;
  for (const auto range : std::views::split(text, ',')) {
    const std::string_view part(range.begin(), range.end());
    const std::size_t equals = part.find('=');
    const bool one = equals != std::string_view::npos;
    const auto severity = severity_of(one ? part.substr(equals + 1) : part);
    const auto rule = one ? rule_of(part.substr(0, equals)) : std::nullopt;
    if (!severity || (one && !rule))
      return std::unexpected(
          fmt::format("'{}' is neither error, warn or off, nor a rule's: R1=warn to R{}=off", part,
                      kRuleCount));
    if (one)
      selection.severities_.at(index(*rule)) = *severity;
    else
      selection.severities_.fill(*severity);
  }
  return selection;
}

bool Selection::all_off() const {
  return std::ranges::all_of(severities_, [](Severity s) { return s == Severity::kOff; });
}

}  // namespace teeio::rules
