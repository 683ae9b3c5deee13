#pragma once

#include <cstdint>
#include <string>

#include "explore/reduction/program.h"

namespace teeio::reduction {

/// What the reduction is not told, to see that the comparison would notice.
enum class Forget : std::uint8_t { kNothing, kPruned, kExpired, kStories, kTouches };

/// What the schedules of one program reach by the reduction, and without it.
struct Comparison {
  /// Empty: the same. Else what is missing or too much, in words.
  std::string difference;
  /// What the reduction was held against.
  enum class Against : std::uint8_t {
    kPlain,
    kSleepSets,
    kSample,
    kNothing
  } against = Against::kNothing;
  std::uint64_t all = 0;           ///< schedules of that
  std::uint64_t reduced = 0;       ///< schedules of the reduction
  std::uint64_t with_mutexes = 0;  ///< schedules with mutexes for monitors; 0: not tried
  bool has_findings = false;
};

/// At most `limit` schedules each. All schedules if they are no more, else those
/// that sleep sets leave, else a random sample, of which the reduction must reach
/// each end. An end is what each task saw and what is left; of a deadlock, what
/// each saw and waits for. Once a check fails the run is cut short, and all that
/// must agree is whether one does. Where a program has sections, and counts no moves, all
/// ends are reached too that it has with mutexes for monitors. Findings keep their memory: call it
/// in a process that ends soon.
[[nodiscard]] Comparison compare(const Program& program, std::uint64_t limit, Forget forget);

/// The smallest program that still differs, each tried in a process of its own.
[[nodiscard]] Program shrink(Program program, std::uint64_t limit, Forget forget);

}  // namespace teeio::reduction
