#include "explore/shrink.h"

#include <algorithm>
#include <string_view>
#include <tuple>

#include "explore/bounded.h"
#include "explore/fault_bound.h"
#include "explore/finding.h"
#include "explore/recorder.h"
#include "explore/replay.h"

namespace teeio::explore {
namespace {

/// A run that failed, and how it went.
struct Attempt {
  Failure failure;
  std::vector<Turn> turns;
  std::vector<std::uint32_t> alternatives;
};

/// What is made small, in order of importance.
auto cost(const Attempt& a) {
  return std::tuple(a.failure.switches, a.failure.failures, a.turns.size(),
                    a.failure.choices.size());
}

/// Whether both broke the same: the rule, and in a user's file the line, for checks are of many
/// kinds.
bool shows_same(const Failure& a, const Failure& b) {
  const auto line = [](const Failure& failure) {
    const std::string_view what = failure.what;
    return what.starts_with("line ") ? what.substr(0, what.find(':')) : std::string_view();
  };
  return a.rule == b.rule && line(a) == line(b);
}

std::optional<Attempt> run_once(const Scenario& scenario, Strategy& strategy) {
  Recorder recorder(strategy);
  schedule::FiberController controller(recorder, scenario.limits);
  if (!recorder.begin()) return std::nullopt;
  schedule::Outcome outcome = controller.run(scenario.body);
  if (!outcome.finding) return std::nullopt;
  return Attempt{{.rule = finding_rule(*outcome.finding),
                  .what = std::move(outcome.finding->what),
                  .where = std::move(outcome.finding->where),
                  .choices = std::move(outcome.choices),
                  .switches = recorder.preemptions(),
                  .failures = recorder.failures(),
                  .tasks = controller.task_names(),
                  .story = controller.story()},
                 recorder.turns(),
                 recorder.alternatives()};
}

class Shrinker {
 public:
  Shrinker(const Scenario& scenario, Attempt first)
      : scenario_(scenario), best_(std::move(first)) {}

  Failure work() {
    while (spent() == Spent::kNo && improve()) {
    }
    try_fewer_preemptions();
    return std::move(best_.failure);
  }

 private:
  enum class Spent : std::uint8_t { kNo, kYes };
  [[nodiscard]] Spent spent() const {
    return runs_ >= kShrinkRuns || findings_ >= kShrinkFindings ? Spent::kYes : Spent::kNo;
  }

  /// Keeps what is better than the best and shows the same.
  bool consider(std::optional<Attempt> attempt) {
    ++runs_;
    if (!attempt) return false;
    ++findings_;
    if (!shows_same(attempt->failure, best_.failure) || cost(*attempt) >= cost(best_)) return false;
    best_ = std::move(*attempt);
    return true;
  }

  bool try_guided(const std::vector<Turn>& turns, const std::vector<std::uint32_t>& alternatives) {
    Guided guided(turns, alternatives);
    return consider(run_once(scenario_, guided));
  }

  /// One step to something smaller; false when none is left.
  bool improve() {
    for (std::size_t i = 0; i < best_.alternatives.size(); ++i) {
      if (best_.alternatives[i] == 0) continue;
      std::vector<std::uint32_t> fewer = best_.alternatives;
      fewer[i] = 0;
      if (spent() == Spent::kYes) return false;
      if (try_guided(best_.turns, fewer)) return true;
    }
    for (std::size_t i = 0; i < best_.turns.size(); ++i)
      for (const bool later : {true, false}) {
        if (spent() == Spent::kYes) return false;
        if (try_joined(i, later)) return true;
      }
    return false;
  }

  /// Turn `at` is given to the next (or last) turn of the same task.
  bool try_joined(std::size_t at, bool later) {
    std::vector<Turn> turns = best_.turns;
    const Turn taken = turns[at];
    std::size_t to = at;
    do {
      if (later ? ++to == turns.size() : to-- == 0) break;
    } while (turns[to].task != taken.task);
    if (to >= turns.size()) {
      if (!later) return false;
    } else {
      turns[to].moves += taken.moves;
    }
    turns.erase(turns.begin() + static_cast<std::ptrdiff_t>(at));
    return try_guided(turns, best_.alternatives);
  }

  void try_fewer_preemptions() {
    if (best_.failure.switches == 0) return;
    PreemptionBounded strategy(static_cast<std::uint32_t>(best_.failure.switches) - 1);
    FaultBound bound(strategy, static_cast<std::uint32_t>(best_.failure.failures));
    while (spent() == Spent::kNo) {
      Recorder recorder(bound);
      schedule::FiberController controller(recorder, scenario_.limits);
      if (!recorder.begin()) return;
      schedule::Outcome outcome = controller.run(scenario_.body);
      if (!outcome.finding) {
        ++runs_;
        continue;
      }
      Replay again(outcome.choices);
      if (consider(run_once(scenario_, again))) return;
    }
  }

  const Scenario& scenario_;
  Attempt best_;
  std::uint64_t runs_ = 0;
  std::uint64_t findings_ = 0;
};

}  // namespace

std::optional<Failure> replay(const Scenario& scenario, const Choices& choices) {
  Replay strategy(choices);
  std::optional<Attempt> attempt = run_once(scenario, strategy);
  if (!attempt) return std::nullopt;
  return std::move(attempt->failure);
}

Failure shrink(const Scenario& scenario, const Failure& failure) {
  Replay strategy(failure.choices);
  std::optional<Attempt> first = run_once(scenario, strategy);
  // One that does not fail again is nondeterminism: shown as it was.
  if (!first || first->failure.rule != failure.rule) return failure;
  return Shrinker(scenario, std::move(*first)).work();
}

}  // namespace teeio::explore
