#include "explore/session.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "explore/finding.h"
#include "explore/replay.h"
#include "explore/shrink.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

using Verdict = ScenarioResult::Verdict;

/// Between two looks at the clock.
constexpr std::uint64_t kSchedulesPerLook = 16;

double seconds_since(std::uint64_t start_ns) {
  return static_cast<double>(schedule::now_ns() - start_ns) / 1e9;
}

}  // namespace

Session::Session(const Scenario& scenario, const Options& options, Strategy& strategy)
    : scenario_(scenario),
      options_(options),
      bound_(strategy, options.failures.value_or(scenario.failures)),
      // What is replayed has failed as often as it did.
      strategy_(options.strategy == StrategyKind::kReplay ? strategy : bound_),
      controller_(strategy_, scenario.limits),
      start_ns_(schedule::now_ns()) {
  if (scenario.goes_back) controller_.begin_at_checkpoints();
  result_.name = scenario.name;
  result_.expected = scenario.expectation;
}

bool Session::is_at_limit() {
  const std::uint64_t runs = result_.schedules + result_.pruned;
  if (runs >= options_.max_schedules) {
    result_.bound = std::to_string(options_.max_schedules) + " schedules";
    return true;
  }
  if (runs % kSchedulesPerLook != 0) return false;
  result_.seconds = seconds_since(start_ns_);
  if (options_.seconds > 0 && result_.seconds >= options_.seconds) {
    result_.bound = std::to_string(static_cast<std::uint64_t>(options_.seconds)) + " s";
    return true;
  }
  if (!options_.on_progress) return false;
  const double of_limit = static_cast<double>(runs) / static_cast<double>(options_.max_schedules);
  const double share = std::max(of_limit, share_done ? share_done() : 0);
  if (options_.on_progress({runs, result_.points, result_.seconds, share})) return false;
  result_.bound = ScenarioResult::kStopped;
  return true;
}

/// Whether the run of `outcome` goes the same way again.
bool Session::repeats(const schedule::Outcome& outcome) const {
  Replay strategy(outcome.choices);
  schedule::FiberController controller(strategy, scenario_.limits);
  TEEIO_CHECK(strategy.begin(), "a replay has no schedule");
  const schedule::Outcome again = controller.run(scenario_.body);
  return again.digest == outcome.digest && again.points == outcome.points &&
         again.finding.has_value() == outcome.finding.has_value();
}

Session::Stop Session::step() {
  if (is_at_limit()) return Stop::kLimit;
  if (!strategy_.begin()) return Stop::kExhausted;
  if (scenario_.answers) scenario_.answers->begin();
  schedule::Outcome outcome = controller_.run(scenario_.body);
  if (after_run) after_run(controller_);
  if (scenario_.answers && counts_answers_ && !outcome.pruned) scenario_.answers->count();
  ++(outcome.pruned ? result_.pruned : result_.schedules);
  result_.points += outcome.points;
  if (options_.check_determinism && !repeats(outcome)) {
    result_.failure = Failure{.rule = "nondeterminism",
                              .what = "the same schedule went another way the second time",
                              .choices = std::move(outcome.choices),
                              .tasks = controller_.task_names(),
                              .story = controller_.story()};
    return Stop::kFound;
  }
  if (!outcome.finding) return Stop::kNone;
  result_.failure = Failure{.rule = finding_rule(*outcome.finding),
                            .what = std::move(outcome.finding->what),
                            .where = std::move(outcome.finding->where),
                            .choices = std::move(outcome.choices),
                            .tasks = controller_.task_names(),
                            .story = controller_.story()};
  return Stop::kFound;
}

Session::Stop Session::run() {
  Stop stop = Stop::kNone;
  while (stop == Stop::kNone) stop = step();
  return stop;
}

ScenarioResult Session::finish(Stop stop) {
  controller_.end_checkpoints();  // another exploration may want to
  result_.seconds = seconds_since(start_ns_);
  if (result_.failure) {
    result_.verdict = Verdict::kFound;
    if (options_.shrink) result_.failure = shrink(scenario_, *result_.failure);
  } else if (stop == Stop::kExhausted) {
    if (options_.strategy == StrategyKind::kReplay)
      result_.bound = "1 schedule";
    else if (options_.strategy == StrategyKind::kBounded)
      result_.bound = std::to_string(options_.preemptions) + " preemptions";
    else
      result_.verdict = Verdict::kExhausted;
  }
  result_.judge();
  if (scenario_.answers) result_.answers = scenario_.answers->calls();
  return std::move(result_);
}

}  // namespace teeio::explore
