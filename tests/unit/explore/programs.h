#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "explore/strategy.h"

namespace teeio::test {

/// What a small task does, one after the other, to the one world of its program.
enum class Step : std::uint8_t {
  kAddLocked,
  kAddOtherLocked,
  kNest,      ///< both locks, in one order
  kNestBack,  ///< and in the other: may be a deadlock
  kReadLocked,
  kWriteLocked,
  kTryWrite,
  kLoad,
  kStore,
  kFetchAdd,
  kPut,
  kGetPut,
  kGetNotZero,
  kWait,  ///< until notified: may never end
  kWaitShort,
  kNotify,
  kNotifyLocked,
  kFail,   ///< a choice, noted under a lock
  kSpawn,  ///< a task of its own that stores
  kRetry,  ///< busily, until something was stored
};
/// The steps of random programs: two tasks that retry would do so for ever.
inline constexpr std::uint32_t kStepKinds = 19;

struct Program {
  std::vector<std::vector<Step>> tasks;
  [[nodiscard]] std::string text() const;
};

/// All programs of two tasks with one step each, and each twice the same.
[[nodiscard]] std::uint64_t pair_programs();
[[nodiscard]] Program pair_program(std::uint64_t number);
[[nodiscard]] Program random_program(explore::Random& random, std::uint32_t tasks,
                                     std::uint32_t steps);

/// The ends that schedules of a program reached: what each task saw and what
/// was left, or the finding.
struct Reached {
  std::set<std::string> ends;
  std::uint64_t schedules = 0;
  std::uint64_t complete = 0;  ///< those not pruned
  bool too_many = false;       ///< not all were run
};

enum class Way : std::uint8_t {
  kPlain,      ///< all schedules
  kSleepSets,  ///< sleep sets alone
  kDpor,
  kParts,  ///< Dpor::deviations(), each by a strategy of its own
};

/// Runs all schedules, with at most one failure each, also after a finding: in a
/// process of its own, since a finding keeps its memory.
[[nodiscard]] Reached reach(const Program& program, Way way);

}  // namespace teeio::test
