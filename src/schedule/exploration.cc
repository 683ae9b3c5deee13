#include "schedule/exploration.h"

namespace teeio::schedule {
namespace {

std::string_view kind_name(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::kCheck:
      return "failed check";
    case Finding::Kind::kDeadlock:
      return "deadlock";
    case Finding::Kind::kLivelock:
      return "livelock";
  }
  return "?";
}

}  // namespace

Exploration explore(Strategy& strategy, const std::function<void()>& body,
                    std::uint64_t max_schedules, RunLimits limits) {
  FiberController controller(strategy, limits);
  Exploration result;
  while (result.schedules < max_schedules) {
    if (!strategy.begin()) {
      result.exhausted = true;
      break;
    }
    Outcome outcome = controller.run(body);
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
  std::string text(kind_name(bad.finding.kind));
  text += ": " + bad.finding.what;
  if (!bad.finding.where.empty()) text += " (" + bad.finding.where + ')';
  return text + '\n' + bad.story + "replay: " + to_text(bad.choices) + '\n';
}

}  // namespace teeio::schedule
