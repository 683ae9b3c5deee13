#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/validate/bench.h"
#include "serve/validate/case.h"

namespace teeio::serve::validate {

/// "doe", "spdm10" … "spdm14", "session", "auth", "ide_km", "tdisp".
[[nodiscard]] std::vector<std::string_view> suite_names();

/// A case in its suite.
struct PlannedCase {
  std::string id;  ///< "spdm12.measurements.signed"
  Case row;
  std::string_view suite;
  std::uint8_t version = 0;  ///< that requesters offer; 0: all
};

/// Where the responder is. On a bus, suites that leave something behind run only by name.
enum class Where : std::uint8_t { kSocket, kBus };

/// The cases of `suites` (when empty, all that run unasked there), in the order of
/// suite_names(), whose ID begins with one of `prefixes` (or all when empty).
[[nodiscard]] std::vector<PlannedCase> plan(const std::vector<std::string>& suites,
                                            const std::vector<std::string>& prefixes, Where where);

/// The case that looks at Target::machine. With one it fails where it would be skipped.
inline constexpr std::string_view kMachineCase = "tdisp.report.machine";

struct CaseResult {
  PlannedCase planned;
  Verdict verdict;
  std::uint64_t time_us = 0;
  /// Its packets' numbers in the capture, from 1; both 0: there is none, or it sent none.
  std::size_t first_packet = 0;
  std::size_t last_packet = 0;
  // What is known of the peer behind it.
  bool lost = false;          ///< a connection broke, or an answer did not come in time
  bool never_linked = false;  ///< its first connection was refused
};
/// Runs one case against the target. Bounded by its number of exchanges and the target's
/// time limit.
[[nodiscard]] CaseResult run_case(const PlannedCase& planned, const Target& target);

/// What came of a suite.
struct Judgement {
  std::vector<CaseResult> results;
  /// Why the rest was not run: the peer is gone, since which case. Empty: all was run.
  std::string bail_out;
};
/// Runs the cases in order, and tells each result as it is there. Cases of SPDM versions that
/// the peer does not list are skipped; where several cannot be set up for one reason, one
/// fails and the others are skipped. When the peer does not answer any more, the case that
/// it did not survive fails, and no other is run.
[[nodiscard]] Judgement judge(const std::vector<PlannedCase>& cases, Target target,
                              const std::function<void(const CaseResult&)>& tell);

/// Whether somebody speaks the socket protocol there: the greeting is answered. Error:
/// ready to print.
[[nodiscard]] std::expected<void, std::string> greet(const Target& target);

}  // namespace teeio::serve::validate
