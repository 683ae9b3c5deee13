#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "explore/coverage.h"
#include "explore/scenario.h"
#include "schedule/strategy.h"

namespace teeio::explore {

enum class StrategyKind : std::uint8_t {
  kDpor,     ///< all orders, each class of equal ones once
  kBounded,  ///< all orders with at most `preemptions` preemptions
  kPct,      ///< random priorities with a few random changes (probabilistic concurrency testing)
  kRandom,   ///< a random task at each point
  kReplay,   ///< the one schedule of `replay`
  kPlain,    ///< all orders without reduction: for comparisons
};
[[nodiscard]] std::string_view strategy_name(StrategyKind kind);
/// Errors: EINVAL for an unknown name.
[[nodiscard]] Result<StrategyKind> parse_strategy(std::string_view name);

/// Told now and then, natively, between two schedules.
struct Progress {
  std::uint64_t schedules = 0;
  std::uint64_t points = 0;
  double seconds = 0;  ///< by the clock
  /// How much of the tree is behind, 0 to 1, as its shape so far lets one guess.
  double share_done = 0;
};

struct Options {
  StrategyKind strategy = StrategyKind::kDpor;
  std::uint64_t max_schedules = 5'000;  ///< complete and pruned ones
  double seconds = 0;                   ///< of processor, no new schedule after these; 0: no limit
  /// At most so many failures in a schedule, if less than the scenario's own.
  std::optional<std::uint32_t> failures = std::nullopt;
  std::uint32_t preemptions = 2;   ///< kBounded
  std::uint32_t changes = 3;       ///< kPct: the depth of a bug that is found for sure, in time
  std::uint64_t seed = 1;          ///< kPct, kRandom
  std::uint64_t first = 0;         ///< kPct, kRandom: of the seed's schedules, the first to run
  std::uint64_t stride = 1;        ///< kPct, kRandom: and each so many after it
  schedule::Choices replay = {};   ///< kReplay
  bool shrink = true;              ///< look for the schedule with the fewest switches
  bool check_determinism = false;  ///< run each schedule twice, and compare
  /// False stops the exploration as a limit does.
  std::function<bool(const Progress&)> on_progress = {};
};

/// Where the orders of a scenario come from: how often kDpor asked for another order of
/// two moves at primitives of one name.
struct Contention {
  std::string at;  ///< "firmware", "igroup->lock"; "stories" that rules read, and busy retries
  std::uint64_t reversals = 0;
};

/// A schedule that showed something wrong: the shortest that was found.
struct Failure {
  /// "R3", "deadlock", "lost wake-up", "livelock", "lock order", "check", ... (finding.h)
  std::string rule = {};
  std::string what = {};                ///< one sentence
  std::string where = {};               ///< "file:line" of a check, or empty
  schedule::Choices choices = {};       ///< for StrategyKind::kReplay
  std::uint64_t switches = 0;           ///< preemptions: a task was left that could have gone on
  std::uint64_t failures = 0;           ///< choices that were not the ordinary one
  std::vector<std::string> tasks = {};  ///< their names, by number
  std::string story = {};               ///< step by step, "*" where the task changed
};

struct ScenarioResult {
  enum class Verdict : std::uint8_t {
    kExhausted,  ///< no order is left
    kBounded,    ///< nothing found up to the bound
    kFound,      ///< see `failure`
  };
  std::string name;
  Verdict verdict = Verdict::kBounded;
  std::uint64_t schedules = 0;  ///< run to their end, so many distinct ones if exhausted by kDpor
  std::uint64_t pruned = 0;     ///< run, and found to show nothing new on the way
  /// What reports count: of what is exhausted the complete ones, as a proof's size.
  [[nodiscard]] std::uint64_t told_schedules() const {
    return verdict == Verdict::kExhausted ? schedules : schedules + pruned;
  }
  std::uint64_t sampled = 0;  ///< after a limit of kDpor: run by other strategies
  std::uint64_t points = 0;   ///< scheduling points of all
  double seconds = 0;         ///< of processor time
  /// With kBounded: "20000 schedules", "60 s of processor time", "2 preemptions"; of kDpor also how
  /// much of the tree that was (as its shape so far lets one guess), and what followed.
  std::string bound;
  /// The bound of an exploration that on_progress() stopped: no bound of its own, it goes on
  /// where it is resumed.
  static constexpr std::string_view kStopped = "stopped";
  [[nodiscard]] bool has_own_bound() const { return !bound.empty() && bound != kStopped; }
  std::optional<Failure> failure;
  Expectation expected;  ///< what the scenario says of its end
  /// Whether it ended so (kBounded counts as holding).
  bool as_expected = false;
  /// What the calls answered, of scenarios that note it.
  std::vector<CallAnswers> answers;
  /// Of kDpor, most first; not of shards.
  std::vector<Contention> contention;
  /// What was reached, if somebody noted it.
  std::vector<Covered> coverage;
  /// What makes the result worth less than it looks, a sentence each.
  std::vector<std::string> warnings;

  /// Sets `as_expected`.
  void judge();
  /// "firmware 81 %, igroup->lock 19 %": where the orders come from, as far as it is more
  /// than a hundredth; empty if nothing is known.
  [[nodiscard]] std::string most_contended() const;
  /// Adds what `answers` say (vacuous()), unless something was found: that ends all.
  void warn_of_what_is_vacuous();
};

/// Explores `scenario` until something is found, nothing is left, or a limit is
/// reached. On the calling OS thread; no controller may be installed.
/// Where a limit stops kDpor, as much again (schedules, seconds) is spent on kPct
/// and kBounded: it is depth first, and has changed the last decisions only.
/// Scenario::kept comes first, unless the strategy is kReplay: one that shows a
/// finding ends it, and no order is explored.
[[nodiscard]] ScenarioResult run_scenario(const Scenario& scenario, const Options& options);

}  // namespace teeio::explore
