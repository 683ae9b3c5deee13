#pragma once

#include <string>
#include <vector>

#include "serve/validate/suite.h"

namespace teeio::serve::validate {

/// Results as the Test Anything Protocol, version 13: first tap_head(), then a
/// tap_line() a result.
[[nodiscard]] std::string tap_head(std::size_t cases);
/// `number` counts from 1.
[[nodiscard]] std::string tap_line(std::size_t number, const CaseResult& result, bool colour);

/// Results as JUnit XML, a test suite for each suite.
[[nodiscard]] std::string junit(const std::vector<CaseResult>& results, const std::string& target);

struct Totals {
  std::size_t passed = 0;
  std::size_t failed = 0;
  std::size_t skipped = 0;
};
[[nodiscard]] Totals totals(const std::vector<CaseResult>& results);

}  // namespace teeio::serve::validate
