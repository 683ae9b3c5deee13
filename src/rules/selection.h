#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "rules/violation.h"

namespace teeio::rules {

/// What a broken rule does: a report and a failure, a report, nothing.
enum class Severity : std::uint8_t { kError, kWarn, kOff };
[[nodiscard]] std::string_view severity_name(Severity severity);  ///< "error"

/// "R4" and "r4"; nullopt for what is no rule.
[[nodiscard]] std::optional<RuleId> rule_of(std::string_view name);
[[nodiscard]] std::string rule_name(RuleId id);  ///< "R4"

/// How seriously each rule is taken: `--rules`.
class Selection {
 public:
  /// Parts separated by commas, later ones over earlier ones: "R4=warn" is one
  /// rule's severity, "warn" that of all rules. Errors: a sentence with the part.
  static std::expected<Selection, std::string> parse(std::string_view text);

  [[nodiscard]] Severity of(RuleId id) const { return severities_.at(index(id)); }
  [[nodiscard]] bool all_off() const;

 private:
  static std::size_t index(RuleId id) { return static_cast<std::size_t>(id) - 1; }
  std::array<Severity, kRuleCount> severities_{};
};

}  // namespace teeio::rules
