#include "explore/expectation.h"

#include <algorithm>

namespace teeio::explore {

bool Expectation::names(std::string_view rule, std::string_view what) const {
  if (!breaks()) return false;
  if (!rules.empty() && std::ranges::find(rules, rule) == rules.end()) return false;
  return what.find(text) != std::string_view::npos;
}

std::string Expectation::str() const {
  if (!breaks()) return "nothing";
  std::string all;
  for (const std::string& rule : rules) all += (all.empty() ? "" : " or ") + rule;
  if (text.empty()) return all;
  return (all.empty() ? "a finding" : all) + " with `" + text + '`';
}

}  // namespace teeio::explore
