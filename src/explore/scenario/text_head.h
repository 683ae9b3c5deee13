#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "explore/expectation.h"
#include "explore/scenario/text_steps.h"

namespace teeio::explore {

/// What lines of a scenario's head must not say twice, or against each other.
class TextHead {
 public:
  /// Of lines that say one thing: a second would take the first back.
  Parsed<> only_one(Tokens line);
  void failures_are(const TextToken& number) { failures_ = number; }
  /// The firmwares behind a `replay`.
  void replayed_on(Tokens firmwares);
  /// Whether lines that are right each leave something to do together.
  [[nodiscard]] Parsed<> fits(const TextScenario& scenario) const;

 private:
  std::map<std::string, unsigned> said_;  ///< and in which line
  std::optional<TextToken> failures_;
  std::vector<TextToken> replayed_on_;
};

/// `expect KIND… ["WORDS"]`: a finding of one of these kinds, which says these words.
Parsed<> parse_expectation(Tokens line, Expectation& into);

}  // namespace teeio::explore
