#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace teeio::explore {

/// How a scenario says that it ends: with nothing found, or broken in a way that it
/// names. A finding of another kind is a failure in both cases.
struct Expectation {
  std::vector<std::string> rules = {};  ///< one of these kinds (Failure::rule); none: any
  std::string text = {};                ///< part of what the finding says; empty: any

  /// It names a finding; else nothing may be found.
  [[nodiscard]] bool breaks() const { return !rules.empty() || !text.empty(); }
  /// Whether a finding of this kind, in these words, is the one that is named.
  [[nodiscard]] bool names(std::string_view rule, std::string_view what) const;
  /// "R4", "R2 or R4", "R4 with `bus mastering`"; "nothing" if it does not break.
  [[nodiscard]] std::string str() const;
  bool operator==(const Expectation&) const = default;
};

}  // namespace teeio::explore
