#include "explore/session.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "explore/finding.h"
#include "explore/replay.h"
#include "explore/shrink.h"
#include "schedule/processor_clock.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

using Verdict = ScenarioResult::Verdict;

/// Between two looks at the clock.
constexpr std::uint64_t kSchedulesPerLook = 16;

double seconds_since(std::uint64_t start_ns) {
  return static_cast<double>(schedule::now_ns() - start_ns) / 1e9;
}
double processor_since(std::uint64_t start_ns) {
  return static_cast<double>(schedule::processor_ns() - start_ns) / 1e9;
}

/// How the second of two findings of one schedule differs; empty: it does not.
std::string other_finding(const std::optional<schedule::Finding>& first,
                          const std::optional<schedule::Finding>& second) {
  const auto text = [](const std::optional<schedule::Finding>& finding) {
    if (!finding) return std::string("nothing");
    return '"' + finding->what + (finding->where.empty() ? "" : " (" + finding->where + ')') + '"';
  };
  if (text(first) == text(second)) return {};
  return "the same schedule showed " + text(first) + ", and the second time " + text(second);
}

/// The same of what the calls answered.
std::string other_answer(const std::vector<CallAnswers>& calls,
                         const std::vector<Answers::Noted>& first,
                         const std::vector<Answers::Noted>& second) {
  const auto [a, b] = std::ranges::mismatch(first, second);
  if (a == first.end() && b == second.end()) return {};
  const auto text = [&](const auto& at, const auto& all) {
    if (at == all.end()) return std::string("no further call was made");
    const CallAnswers& call = calls.at(at->call);
    return call.where + " (" + call.call + ") answered " + at->answer +
           (at->why.empty() ? "" : ", " + at->why);
  };
  return "in the same schedule " + text(a, first) + ", and the second time " + text(b, second);
}

}  // namespace

Session::Session(const Scenario& scenario, const Options& options, Strategy& strategy)
    : scenario_(scenario),
      options_(options),
      bound_(strategy, options.failures.value_or(scenario.failures)),
      // What is replayed has failed as often as it did.
      strategy_(options.strategy == StrategyKind::kReplay ? strategy : bound_),
      controller_(strategy_, scenario.limits),
      start_ns_(schedule::now_ns()),
      processor_start_ns_(schedule::processor_ns()) {
  if (scenario.goes_back) controller_.begin_at_checkpoints();
  result_.name = scenario.name;
  result_.expected = scenario.expectation;
}

bool Session::is_at_limit() {
  const std::uint64_t runs = result_.schedules + result_.pruned;
  if (runs >= options_.max_schedules) {
    result_.bound = counted(options_.max_schedules, "schedule");
    return true;
  }
  if (runs % kSchedulesPerLook != 0) return false;
  if (options_.seconds > 0 && processor_since(processor_start_ns_) >= options_.seconds) {
    result_.bound =
        std::to_string(static_cast<std::uint64_t>(options_.seconds)) + " s of processor time";
    return true;
  }
  if (!options_.on_progress) return false;
  const double of_limit = static_cast<double>(runs) / static_cast<double>(options_.max_schedules);
  const double share = std::max(of_limit, share_done ? share_done() : 0);
  if (options_.on_progress({runs, result_.points, seconds_since(start_ns_), share})) return false;
  result_.bound = ScenarioResult::kStopped;
  return true;
}

std::string Session::varies(const schedule::Outcome& outcome,
                            const std::vector<Answers::Noted>& answered) const {
  Replay strategy(outcome.choices);
  schedule::FiberController controller(strategy, scenario_.limits);
  TEEIO_CHECK(strategy.begin(), "a replay has no schedule");
  if (scenario_.answers) scenario_.answers->begin();
  const schedule::Outcome again = controller.run(scenario_.body);
  if (const std::string how = other_finding(outcome.finding, again.finding); !how.empty())
    return how;
  if (again.digest != outcome.digest || again.points != outcome.points)
    return "the same schedule went another way the second time";
  return scenario_.answers
             ? other_answer(scenario_.answers->calls(), answered, scenario_.answers->noted())
             : std::string();
}

Session::Stop Session::step() {
  if (is_at_limit()) return Stop::kLimit;
  if (!strategy_.begin()) return Stop::kExhausted;
  if (scenario_.answers) scenario_.answers->begin();
  schedule::Outcome outcome = controller_.run(scenario_.body);
  if (after_run) after_run(controller_);
  const std::vector<Answers::Noted> answered = options_.check_determinism && scenario_.answers
                                                   ? scenario_.answers->noted()
                                                   : std::vector<Answers::Noted>{};
  if (scenario_.answers && counts_answers_ && !outcome.pruned) scenario_.answers->count();
  ++(outcome.pruned ? result_.pruned : result_.schedules);
  result_.points += outcome.points;
  std::string how = options_.check_determinism ? varies(outcome, answered) : std::string();
  if (!how.empty()) {
    result_.failure = Failure{.rule = "nondeterminism",
                              .what = std::move(how),
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
  result_.seconds = processor_since(processor_start_ns_);
  if (result_.failure) {
    result_.verdict = Verdict::kFound;
    if (options_.shrink)
      result_.failure = shrink(scenario_, *result_.failure);
    else if (auto counted = replay(scenario_, result_.failure->choices);
             counted && counted->rule == result_.failure->rule)
      result_.failure = std::move(*counted);  // with its preemptions and failures
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
