#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "explore/strategy.h"

namespace teeio::reduction {

/// What a task of a random program does to the one world that all share: every
/// primitive of `schedule`, and what tasks can do around them.
enum class Kind : std::uint8_t {
  kLock,      ///< mutex a { then }
  kTryLock,   ///< mutex a { then } { else }
  kRead,      ///< { then }
  kWrite,     ///< { then }
  kTryWrite,  ///< { then } { else }
  kLoad,      ///< flag a
  kStore,     ///< flag a := b
  kExchange,  ///< flag a := b
  kAdd,       ///< flag a += b
  kCompare,   ///< flag a: b becomes b + 1
  kIf,        ///< flag a is b { then } { else }
  kGet,       ///< count a
  kPut,
  kGetNotZero,
  kPutIfOne,
  kCount,
  kWait,           ///< condition a, for ever
  kWaitFor,        ///< condition a, b ns { then, with mutex a held }
  kWaitUntilTold,  ///< condition 0, until a kNotify with its mutex held
  kNotify,         ///< condition a; b: with mutex a held
  kChoose,         ///< one of a + 2
  kIfChosen,       ///< a failure: { then } { else }
  kSpawn,          ///< { child } { meanwhile }, joined
  kLate,           ///< { child }, joined by kJoin or at the task's end
  kJoin,
  kYield,
  kRetry,  ///< at most b times, until flag a is not zero
  kPause,  ///< b ns
  kTell,   ///< the story a goes on
  kLocal,  ///< task-local storage
  kNow,
  kRandom,
  kUse,        ///< a flag in an object that may be gone
  kLockIn,     ///< a mutex in it { then }
  kDrop,       ///< a reference on it
  kTryHold,    ///< one more, if there is one, and its drop
  kSection,    ///< monitor a, all that it guards { then, without a point }
  kPart,       ///< a section of monitor a, or more of it: b reads, updates or writes a part
  kDecide,     ///< a section as kPart, which reads a part: as that is { then } or { otherwise }
  kSectionIn,  ///< a monitor in the object that may be gone
};
inline constexpr std::uint32_t kKinds = 40;
/// Of a monitor; kPart's b is a part + kParts * how, kDecide's a part + kParts * what is asked.
inline constexpr std::uint32_t kParts = 2;

struct Step {
  Kind kind;
  std::int32_t a = 0, b = 0;
  std::vector<Step> then = {}, otherwise = {};
};

/// Task 0 of a run makes the others, does `main`, and joins them.
struct Program {
  std::uint32_t counts[2] = {3, 2};
  std::uint32_t holds = 3;   ///< references on the object
  std::uint32_t faults = 0;  ///< choices that may go another way in one schedule
  std::vector<Step> main;
  std::vector<std::vector<Step>> tasks;
};

/// One line for what there is and one a task: "lock 0 0 { load 1 0 } put 0 0".
[[nodiscard]] std::string to_text(const Program& program);
[[nodiscard]] std::optional<Program> parse(std::string_view text);

/// The program `number` of a seed: what it is does not depend on the others.
[[nodiscard]] Program generate(std::uint64_t seed, std::uint64_t number);
/// What programs can be about: number n is of kind n modulo that.
[[nodiscard]] std::uint64_t kinds_of_programs();

}  // namespace teeio::reduction
