#include "explore/run.h"

#include <array>
#include <memory>
#include <utility>

#include "base/check.h"
#include "explore/bounded.h"
#include "explore/depth_first.h"
#include "explore/dpor.h"
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
  const std::unique_ptr<Strategy> strategy = make_strategy(options);
  Session session(scenario, options, *strategy);
  if (const auto* dpor = dynamic_cast<const Dpor*>(strategy.get()); dpor != nullptr)
    session.share_done = [dpor] { return dpor->share_done(); };
  const Session::Stop stop = session.run();
  return session.finish(stop);
}

}  // namespace teeio::explore
