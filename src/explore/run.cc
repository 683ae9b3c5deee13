#include "explore/run.h"

#include <array>
#include <memory>
#include <utility>

#include "base/check.h"
#include "explore/bounded.h"
#include "explore/depth_first.h"
#include "explore/dpor.h"
#include "explore/fault_bound.h"
#include "explore/finding.h"
#include "explore/pct.h"
#include "explore/random_walk.h"
#include "explore/replay.h"
#include "explore/shrink.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

using Verdict = ScenarioResult::Verdict;

constexpr std::array<std::pair<StrategyKind, std::string_view>, 6> kNames = {{
    {StrategyKind::kDpor, "dpor"},
    {StrategyKind::kBounded, "bounded"},
    {StrategyKind::kPct, "pct"},
    {StrategyKind::kRandom, "random"},
    {StrategyKind::kReplay, "replay"},
    {StrategyKind::kPlain, "plain"},
}};

/// Between two looks at the clock.
constexpr std::uint64_t kSchedulesPerLook = 16;

std::unique_ptr<Strategy> make_strategy(const Options& options) {
  switch (options.strategy) {
    case StrategyKind::kDpor:
      return std::make_unique<Dpor>();
    case StrategyKind::kBounded:
      return std::make_unique<PreemptionBounded>(options.preemptions);
    case StrategyKind::kPct:
      return std::make_unique<Pct>(options.seed, options.changes);
    case StrategyKind::kRandom:
      return std::make_unique<RandomWalk>(options.seed);
    case StrategyKind::kReplay:
      return std::make_unique<Replay>(options.replay);
    case StrategyKind::kPlain:
      return std::make_unique<DepthFirst>(DepthFirst::Reduction::kNone);
  }
  std::unreachable();
}

double seconds_since(std::uint64_t start_ns) {
  return static_cast<double>(schedule::now_ns() - start_ns) / 1e9;
}

/// Whether the run of `outcome` goes the same way again.
bool repeats(const Scenario& scenario, const schedule::Outcome& outcome) {
  Replay strategy(outcome.choices);
  schedule::FiberController controller(strategy, scenario.limits);
  TEEIO_CHECK(strategy.begin(), "a replay has no schedule");
  const schedule::Outcome again = controller.run(scenario.body);
  return again.digest == outcome.digest && again.points == outcome.points &&
         again.finding.has_value() == outcome.finding.has_value();
}

Failure failure_of(schedule::Outcome& outcome, const schedule::FiberController& controller) {
  return {.rule = finding_rule(*outcome.finding),
          .what = std::move(outcome.finding->what),
          .where = std::move(outcome.finding->where),
          .choices = std::move(outcome.choices),
          .story = controller.story()};
}

class Session {
 public:
  Session(const Scenario& scenario, const Options& options)
      : scenario_(scenario),
        options_(options),
        strategy_(make_strategy(options)),
        bound_(*strategy_, options.failures.value_or(scenario.failures)),
        controller_(options.strategy == StrategyKind::kReplay ? *strategy_ : bound_,
                    scenario.limits) {
    result_.name = scenario.name;
  }

  ScenarioResult run() {
    while (may_go_on() && one_schedule()) {
    }
    result_.seconds = seconds_since(start_ns_);
    judge();
    return std::move(result_);
  }

 private:
  [[nodiscard]] bool may_go_on() {
    const std::uint64_t runs = result_.schedules + result_.pruned;
    if (runs >= options_.max_schedules) {
      result_.bound = std::to_string(options_.max_schedules) + " schedules";
      return false;
    }
    if (runs % kSchedulesPerLook != 0) return true;
    const double seconds = seconds_since(start_ns_);
    if (options_.seconds > 0 && seconds >= options_.seconds) {
      result_.bound = std::to_string(static_cast<std::uint64_t>(options_.seconds)) + " s";
      return false;
    }
    if (!options_.on_progress) return true;
    if (options_.on_progress({runs, result_.points, seconds, share_done(runs)})) return true;
    result_.bound = "stopped";
    return false;
  }

  [[nodiscard]] double share_done(std::uint64_t runs) const {
    const double of_bound = static_cast<double>(runs) / static_cast<double>(options_.max_schedules);
    const auto* dpor = dynamic_cast<const Dpor*>(strategy_.get());
    return dpor == nullptr ? of_bound : std::max(of_bound, dpor->share_done());
  }

  /// False when there is no further one, or one was found.
  bool one_schedule() {
    if (!(options_.strategy == StrategyKind::kReplay ? strategy_->begin() : bound_.begin())) {
      exhausted_ = true;
      return false;
    }
    schedule::Outcome outcome = controller_.run(scenario_.body);
    ++(outcome.pruned ? result_.pruned : result_.schedules);
    result_.points += outcome.points;
    if (options_.check_determinism && !repeats(scenario_, outcome)) {
      result_.failure = Failure{.rule = "nondeterminism",
                                .what = "the same schedule went another way the second time",
                                .choices = std::move(outcome.choices),
                                .story = controller_.story()};
      return false;
    }
    if (!outcome.finding) return true;
    result_.failure = failure_of(outcome, controller_);
    return false;
  }

  void judge() {
    if (result_.failure) {
      result_.verdict = Verdict::kFound;
      if (options_.shrink) result_.failure = shrink(scenario_, *result_.failure);
    } else if (exhausted_) {
      exhausted();
    }
    const bool found = result_.verdict == Verdict::kFound;
    if (scenario_.expectation == Scenario::Expectation::kHolds) {
      result_.as_expected = !found;
    } else {
      result_.as_expected =
          found && (result_.failure->what.find(scenario_.expected) != std::string::npos ||
                    result_.failure->rule == scenario_.expected);
    }
  }

  void exhausted() {
    if (options_.strategy == StrategyKind::kReplay)
      result_.bound = "1 schedule";
    else if (options_.strategy == StrategyKind::kBounded)
      result_.bound = std::to_string(options_.preemptions) + " preemptions";
    else
      result_.verdict = Verdict::kExhausted;
  }

  const Scenario& scenario_;
  const Options& options_;
  const std::unique_ptr<Strategy> strategy_;
  FaultBound bound_;
  schedule::FiberController controller_;
  const std::uint64_t start_ns_ = schedule::now_ns();
  bool exhausted_ = false;
  ScenarioResult result_;
};

}  // namespace

std::string_view strategy_name(StrategyKind kind) {
  for (const auto& [known, name] : kNames)
    if (known == kind) return name;
  return "?";
}

Result<StrategyKind> parse_strategy(std::string_view name) {
  for (const auto& [kind, known] : kNames)
    if (known == name) return kind;
  return fail(Errno::kInval, "there is no such strategy");
}

ScenarioResult run_scenario(const Scenario& scenario, const Options& options) {
  TEEIO_CHECK(schedule::controller() == nullptr, "an exploration is started within a run");
  return Session(scenario, options).run();
}

}  // namespace teeio::explore
