#include "explore/exploration.h"

#include "explore/finding.h"

namespace teeio::explore {

Exploration run_schedules(Strategy& strategy, const std::function<void()>& body,
                          std::uint64_t max_schedules, schedule::RunLimits limits) {
  schedule::FiberController controller(strategy, limits);
  Exploration result;
  while (result.schedules < max_schedules) {
    if (!strategy.begin()) {
      result.exhausted = true;
      break;
    }
    schedule::Outcome outcome = controller.run(body);
    ++result.schedules;
    result.points += outcome.points;
    if (outcome.pruned) ++result.pruned;
    if (!outcome.finding) continue;
    result.bad =
        BadSchedule{std::move(*outcome.finding), std::move(outcome.choices), controller.story()};
    break;
  }
  return result;
}

std::string to_text(const BadSchedule& bad) {
  std::string text = finding_rule(bad.finding);
  text += ": " + bad.finding.what;
  if (!bad.finding.where.empty()) text += " (" + bad.finding.where + ')';
  return text + '\n' + bad.story + "replay: " + schedule::to_text(bad.choices) + '\n';
}

}  // namespace teeio::explore
