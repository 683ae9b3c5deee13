#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "sweep/outcome.h"
#include "sweep/variation.h"

namespace teeio::sweep {

/// What a run came to, against the first.
enum class Verdict : std::uint8_t {
  kOk,          ///< the same exit status, and nothing is wrong
  kHandled,     ///< another exit status, and nothing is wrong
  kFinding,     ///< something is wrong
  kNotReached,  ///< what was to go wrong did not: the program goes its way differently
};
inline constexpr std::size_t kVerdicts = 4;
[[nodiscard]] std::string_view verdict_name(Verdict verdict);

/// Something that is wrong with a run.
struct Complaint {
  std::string key;   ///< equal complaints of several runs are one finding
  std::string what;  ///< a sentence
  /// The program's, innermost first, where the rule was broken, or else where something was made
  /// to go wrong: part of the key is its top.
  std::vector<std::string> stack = {};
  bool operator==(const Complaint&) const = default;
};

struct Judged {
  Verdict verdict = Verdict::kOk;
  std::vector<Complaint> complaints;
};

/// Whether the first run will do as a measure: why not, or "".
[[nodiscard]] std::string why_not_a_measure(const Outcome& first, int wanted_status);

/// A process that --inject killed may die; whatever else a signal ends that ended otherwise
/// in the first run is wrong, and so are a run that does not end, a broken rule, a machine
/// that is not as at boot, and what --expect says. Of a device that is gone (device:…=gone)
/// the state of its own that nobody could end is left out.
[[nodiscard]] Judged judge(const Outcome& first, const run::Injection& injection,
                           const Outcome& outcome);

/// A run and what became of it.
struct Result {
  Variation variation;
  Outcome outcome;
  Judged judged;
};

/// Results with one complaint, the smallest first.
struct Finding {
  Complaint complaint;
  std::vector<const Result*> results;
};
/// `results` in order of their numbers; outlives what is given. In order of the smallest.
[[nodiscard]] std::vector<Finding> findings_of(const std::vector<Result>& results);

}  // namespace teeio::sweep
