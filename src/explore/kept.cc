#include "explore/kept.h"

#include <utility>

#include "explore/replay.h"
#include "explore/session.h"

namespace teeio::explore {

KeptRuns run_kept(const Scenario& scenario, const Options& options) {
  KeptRuns runs;
  if (options.strategy == StrategyKind::kReplay) return runs;
  Options one = options;
  one.strategy = StrategyKind::kReplay;
  one.check_determinism = false;
  for (const KeptSchedule& kept : scenario.kept) {
    one.replay = kept.choices;
    Replay strategy(kept.choices);
    Session session(scenario, one, strategy);
    session.count_answers(false);
    const Session::Stop stop = session.step();
    const std::optional<Failure>& failure = session.result().failure;
    const bool misfit = failure && failure->what.find(kMisfit) != std::string::npos;
    if (misfit || (!failure && strategy.is_left_over())) {
      runs.warnings.push_back(kept.where + ": the schedule does not fit this program any more");
      continue;
    }
    if (stop != Session::Stop::kFound) continue;
    if (scenario.answers) scenario.answers->count();
    runs.found = session.finish(stop);
    runs.found->warnings = std::move(runs.warnings);
    return runs;
  }
  return runs;
}

}  // namespace teeio::explore
