#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/validate/bench.h"
#include "serve/validate/case.h"

namespace teeio::serve::validate {

/// "doe", "spdm10" … "spdm14", "session", "ide_km", "tdisp".
[[nodiscard]] std::vector<std::string_view> suite_names();

/// A case in its suite.
struct PlannedCase {
  std::string id;  ///< "spdm12.measurements.signed"
  Case row;
  std::string_view suite;
  std::uint8_t version = 0;  ///< that requesters offer; 0: all
};

/// The cases of `suites` (all when empty), in the order of suite_names(), whose
/// ID begins with one of `prefixes` (or all when empty).
[[nodiscard]] std::vector<PlannedCase> plan(const std::vector<std::string>& suites,
                                            const std::vector<std::string>& prefixes);

struct CaseResult {
  PlannedCase planned;
  Verdict verdict;
  std::uint64_t time_us = 0;
};
/// Runs one case against the target. Bounded by its number of exchanges and the target's
/// time limit.
[[nodiscard]] CaseResult run_case(const PlannedCase& planned, const Target& target);

/// Whether somebody speaks the socket protocol there: the greeting is answered. Error:
/// ready to print.
[[nodiscard]] std::expected<void, std::string> greet(const Target& target);

}  // namespace teeio::serve::validate
