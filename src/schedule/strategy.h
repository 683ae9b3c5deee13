#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schedule/controller.h"

namespace teeio::schedule {

/// A task that is parked at an operation.
struct Candidate {
  /// What lets the operation happen now.
  enum class Gate : std::uint8_t {
    kNone,      ///< nothing: it is possible at any time
    kOpen,      ///< its condition holds: the lock is free, the wait was notified, the task ended
    kTimedOut,  ///< its condition does not hold, and its time has run out
    kShut,      ///< it is not possible now
  };
  std::uint32_t task;
  Op op;
  Gate gate = Gate::kNone;
  /// Of a put of what its task did not take: the least that the reference count can be now in
  /// another order of what commutes; 0 for all else.
  std::uint32_t count = 0;
  /// Of a timed wait: its time has run out. With kOpen it was notified all the same.
  bool expired = false;
};

/// Whether the operations of two candidates of one moment commute: as commute() of operations,
/// but of two puts that could be the last two, of which the second is no put (OpKind::kTestCount).
[[nodiscard]] bool commute(const Candidate& a, const Candidate& b);

/// What a strategy sees when the next task must be chosen: at least one
/// candidate; the task that moved last comes first if it is one, so that
/// always taking the first is the schedule without preemption. The others
/// follow in order of their numbers.
struct Moment {
  std::span<const Candidate> candidates;
  std::uint32_t last_task;
  std::uint32_t tasks;  ///< spawned so far, ended ones included; the last move spawned the new ones
};

/// Decides one schedule after the other. Same begin() and same answers mean the
/// same run: nothing else in a run may vary.
class Strategy {
 public:
  /// pick(): the rest of this schedule shows nothing new. The run is finished
  /// without asking again, so that its tasks end as they always do.
  static constexpr std::uint32_t kPrune = std::numeric_limits<std::uint32_t>::max();

  virtual ~Strategy() = default;
  /// Called before each run; false when there is no further schedule.
  [[nodiscard]] virtual bool begin() = 0;
  /// An index into `moment.candidates`, or kPrune.
  [[nodiscard]] virtual std::uint32_t pick(const Moment& moment) = 0;
  /// One of `count` >= 2 alternatives of choose() in the running task.
  [[nodiscard]] virtual std::uint32_t choose(std::uint32_t count) = 0;
  /// Told (not asked) when no task can move: time passes now, or the run ends.
  /// `waiting` are the tasks that have not ended, all kShut.
  virtual void stuck(std::span<const Candidate> /*waiting*/) {}
  /// Told after kPrune: who cannot move (all kShut) where the schedule was given up.
  virtual void pruned(std::span<const Candidate> /*waiting*/) {}
  /// Told of the last move, until the next one: it is part of these stories
  /// (Controller::told()).
  virtual void told(std::uint64_t /*stories*/) {}
  /// Likewise: it touches this element of what monitors guard (Controller::touched()).
  virtual void touched(Touch /*touch*/) {}
};

/// One answer that was not forced: a task number where several could move, or
/// an alternative of choose().
struct Choice {
  enum class Kind : std::uint8_t { kTask, kAlternative };
  Kind kind;
  std::uint32_t value;
  bool operator==(const Choice&) const = default;
};
using Choices = std::vector<Choice>;

/// "31:2,4:1,7=2": 31 usual choices (usual_choice.h), then task 2, 4 usual ones, task
/// 1, 7 usual ones, alternative 2. Usual ones at the end are left out.
[[nodiscard]] std::string to_text(const Choices& choices);
/// Reads what to_text() wrote, and what it wrote until 0.1: "0*12 1 =2", task 0 twelve
/// times, task 1, alternative 2. Errors: EINVAL for anything else, E2BIG for more
/// than kMaxChoices.
[[nodiscard]] Result<Choices> parse_choices(std::string_view text);
inline constexpr std::size_t kMaxChoices = 1'000'000;  ///< a typing error must not fill memory

}  // namespace teeio::schedule
