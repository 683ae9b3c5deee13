#include "explore/run.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "explore/bounded.h"
#include "explore/depth_first.h"
#include "explore/dpor.h"
#include "explore/kept.h"
#include "explore/pct.h"
#include "explore/random_walk.h"
#include "explore/replay.h"
#include "explore/session.h"
#include "schedule/controller.h"

namespace teeio::explore {
namespace {

constexpr std::array<std::pair<StrategyKind, std::string_view>, 6> kNames = {{
    {StrategyKind::kDpor, "dpor"},
    {StrategyKind::kBounded, "bounded"},
    {StrategyKind::kPct, "pct"},
    {StrategyKind::kRandom, "random"},
    {StrategyKind::kReplay, "replay"},
    {StrategyKind::kPlain, "plain"},
}};

std::string percent(double value) {
  constexpr double kLeast = 0.1;
  if (value < kLeast) return "less than 0.1 %";
  const auto tenths = static_cast<std::uint64_t>(value * 10);
  return "about " + std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10) + " %";
}

std::unique_ptr<Strategy> make_strategy(const Options& options) {
  switch (options.strategy) {
    case StrategyKind::kDpor:
      return std::make_unique<Dpor>();
    case StrategyKind::kBounded:
      return std::make_unique<PreemptionBounded>(options.preemptions);
    case StrategyKind::kPct:
      return std::make_unique<Pct>(options.seed, options.changes, options.first, options.stride);
    case StrategyKind::kRandom:
      return std::make_unique<RandomWalk>(options.seed, options.first, options.stride);
    case StrategyKind::kReplay:
      return std::make_unique<Replay>(options.replay);
    case StrategyKind::kPlain:
      return std::make_unique<DepthFirst>(DepthFirst::Reduction::kNone);
  }
  std::unreachable();
}

/// Depth first, a search that was stopped has changed the last decisions only.
/// As much again goes to orders from everywhere: half by PCT, half with few
/// preemptions.
void look_elsewhere(const Scenario& scenario, const Options& options, double share,
                    ScenarioResult& result) {
  constexpr double kPercent = 100;
  result.bound += ", " + percent(share * kPercent) + " of the tree";
  const std::uint64_t half = (options.max_schedules + 1) / 2;
  for (const StrategyKind kind : {StrategyKind::kPct, StrategyKind::kBounded}) {
    Options other = options;
    other.strategy = kind;
    other.max_schedules = half;
    other.seconds = options.seconds / 2;
    const std::unique_ptr<Strategy> strategy = make_strategy(other);
    Session session(scenario, other, *strategy);
    const Session::Stop stop = session.run();
    ScenarioResult found = session.finish(stop);
    const std::uint64_t runs = found.schedules + found.pruned;
    result.sampled += runs;
    result.points += found.points;
    result.seconds += found.seconds;
    result.bound += ", " + std::to_string(runs) + " by " + std::string(strategy_name(kind));
    if (found.bound == ScenarioResult::kStopped) return;
    if (!found.failure) continue;
    result.verdict = found.verdict;
    result.failure = std::move(found.failure);
    result.as_expected = found.as_expected;
    return;
  }
}

/// Counts what kDpor reverses, by name.
class Contended {
 public:
  void watch(Dpor& dpor, Session& session) {
    session.after_run = [this, &dpor](const schedule::FiberController& controller) {
      for (const std::uint32_t object : dpor.take_reversed())
        ++times_[object == 0 ? "stories" : controller.object_name(object)];
    };
  }
  [[nodiscard]] std::vector<Contention> counted() const {
    std::vector<Contention> all;
    for (const auto& [name, times] : times_) all.push_back({std::string(name), times});
    std::ranges::stable_sort(all, std::greater(), &Contention::reversals);
    return all;
  }

 private:
  std::map<std::string_view, std::uint64_t> times_;  // names are literals
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

void ScenarioResult::judge() {
  const bool found = verdict == Verdict::kFound;
  as_expected = expected.breaks() ? found && expected.names(failure->rule, failure->what) : !found;
}

std::string ScenarioResult::most_contended() const {
  constexpr std::uint64_t kPercent = 100;
  std::uint64_t all = 0;
  for (const Contention& c : contention) all += c.reversals;
  std::string text;
  for (const Contention& c : contention) {
    const std::uint64_t share = c.reversals * kPercent / all;
    if (share == 0) break;
    text += (text.empty() ? "" : ", ") + c.at + ' ' + std::to_string(share) + " %";
  }
  return text;
}

void ScenarioResult::warn_of_what_is_vacuous() {
  if (verdict == Verdict::kFound) return;
  for (std::string& sentence : vacuous(answers)) warnings.push_back(std::move(sentence));
}

ScenarioResult run_scenario(const Scenario& scenario, const Options& options) {
  TEEIO_CHECK(schedule::controller() == nullptr, "an exploration is started within a run");
  KeptRuns kept = run_kept(scenario, options);
  if (kept.found) return std::move(*kept.found);
  const std::unique_ptr<Strategy> strategy = make_strategy(options);
  Session session(scenario, options, *strategy);
  Contended contended;
  if (auto* dpor = dynamic_cast<Dpor*>(strategy.get()); dpor != nullptr) {
    session.share_done = [dpor] { return dpor->share_done(); };
    contended.watch(*dpor, session);
  }
  const Session::Stop stop = session.run();
  const bool limited = stop == Session::Stop::kLimit && options.strategy == StrategyKind::kDpor;
  const double share = limited && session.share_done ? session.share_done() : 0;
  ScenarioResult result = session.finish(stop);
  result.contention = contended.counted();
  if (limited && result.bound != ScenarioResult::kStopped)
    look_elsewhere(scenario, options, share, result);
  result.warnings = std::move(kept.warnings);
  if (scenario.answers) result.answers = scenario.answers->calls();
  // One schedule alone need not show what a call can answer.
  if (options.strategy != StrategyKind::kReplay) result.warn_of_what_is_vacuous();
  return result;
}

}  // namespace teeio::explore
