// What a scenario's schedules come to by the reduction, against what random ones, and those with
// random priorities, come to: an outcome that the reduction calls all of them and has not seen is
// a dependence that it was not told of. CI asks a few scenarios; for more:
//   outcome_check 'pair/ready/*' 'pair/bound/*' --reduced 5000 --sampled 1000

#include <fnmatch.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "explore/dpor.h"
#include "explore/fault_bound.h"
#include "explore/pct.h"
#include "explore/random_walk.h"
#include "explore/scenario/catalogue.h"
#include "explore/scenario/outcome.h"
#include "explore/scenario/pairs.h"
#include "schedule/fiber_controller.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

struct Arguments {
  std::vector<std::string> patterns;
  std::string design;
  std::uint64_t reduced = 2'000;
  std::uint64_t sampled = 100;
  std::uint64_t seed = 1;
  std::uint64_t every = 1;
  std::uint64_t first = 0;
  double seconds = 0;
  bool forgets = false;
};

/// The reduction without what moves touch, to see that the comparison would notice.
class Forgetful final : public Strategy {
 public:
  bool begin() override { return inner_.begin(); }
  std::uint32_t pick(const Moment& moment) override { return inner_.pick(moment); }
  std::uint32_t choose(std::uint32_t count) override { return inner_.choose(count); }
  void stuck(std::span<const Candidate> waiting) override { inner_.stuck(waiting); }
  void pruned(std::span<const Candidate> waiting) override { inner_.pruned(waiting); }
  void told(std::uint64_t stories) override { inner_.told(stories); }

 private:
  Dpor inner_;
};

/// Outcomes, each with a schedule that comes to it.
struct Reached {
  std::map<std::string, std::string> outcomes;
  std::uint64_t schedules = 0;
  bool exhausted = false;
};

Reached reach(const Scenario& scenario, Strategy& strategy, std::uint64_t limit) {
  Reached reached;
  FaultBound bound(strategy, scenario.failures);
  schedule::FiberController controller(bound, scenario.limits);
  if (scenario.goes_back) controller.begin_at_checkpoints();
  std::string came_to;
  watch_outcomes(&came_to);
  for (bool found = false; !found && reached.schedules < limit; ++reached.schedules) {
    if (!bound.begin()) {
      reached.exhausted = true;
      break;
    }
    if (scenario.answers) scenario.answers->begin();
    const schedule::Outcome outcome = controller.run(scenario.body);
    found = outcome.finding.has_value();
    if (outcome.pruned) continue;
    if (found) came_to = outcome.finding->what + '\n';
    reached.outcomes.try_emplace(came_to, schedule::to_text(outcome.choices));
  }
  watch_outcomes(nullptr);
  controller.end_checkpoints();
  return reached;
}

/// The lines of `text` that `other` has not.
std::string lines_only_in(const std::string& text, const std::string& other) {
  std::string only;
  for (std::size_t at = 0, end = 0; at < text.size(); at = end) {
    end = text.find('\n', at) + 1;
    const std::string line = text.substr(at, end - at);
    if (("\n" + other).find("\n" + line) == std::string::npos) only += "    " + line;
  }
  return only;
}

/// The one of `known` with the fewest lines that `text` has not.
std::string difference_to_nearest(const std::string& text,
                                  const std::map<std::string, std::string>& known) {
  std::string best, missing;
  for (const auto& [other, choices] : known) {
    const std::string only = lines_only_in(text, other);
    if (!best.empty() && best.size() <= only.size()) continue;
    best = only;
    missing = lines_only_in(other, text);
  }
  return best + "  instead of\n" + missing;
}

struct Totals {
  std::uint64_t scenarios = 0, exhausted = 0, outcomes = 0, schedules = 0, sampled = 0, differ = 0;
};

/// The samples of one strategy.
void compare(const Scenario& scenario, const Arguments& arguments, Strategy& strategy,
             const Reached& all, Totals& totals) {
  const Reached some = reach(scenario, strategy, arguments.sampled);
  totals.sampled += some.schedules;
  for (const auto& [came_to, choices] : some.outcomes) {
    if (all.outcomes.contains(came_to)) continue;
    ++totals.differ;
    std::printf("%s: %zu outcomes by the reduction, and not this one (--replay '%s'):\n%s",
                scenario.name.c_str(), all.outcomes.size(), choices.c_str(),
                difference_to_nearest(came_to, all.outcomes).c_str());
    return;
  }
}

void check(const Scenario& scenario, const Arguments& arguments, Totals& totals) {
  ++totals.scenarios;
  const std::unique_ptr<Strategy> reduction =
      arguments.forgets ? std::unique_ptr<Strategy>(std::make_unique<Forgetful>())
                        : std::make_unique<Dpor>();
  const Reached all = reach(scenario, *reduction, arguments.reduced);
  totals.schedules += all.schedules;
  if (!all.exhausted) return;
  ++totals.exhausted;
  totals.outcomes += all.outcomes.size();
  RandomWalk random(arguments.seed);
  compare(scenario, arguments, random, all, totals);
  constexpr std::uint32_t kChanges = 3;
  Pct pct(arguments.seed, kChanges);
  compare(scenario, arguments, pct, all, totals);
}

bool is_asked(const Arguments& arguments, const MachineScenario& scenario) {
  return !scenario.expectation.breaks() &&
         std::ranges::any_of(arguments.patterns, [&](const std::string& pattern) {
           return fnmatch(pattern.c_str(), scenario.name.c_str(), 0) == 0;
         });
}

std::vector<Scenario> asked(const Arguments& arguments) {
  std::vector<Scenario> all;
  std::uint64_t number = 0;
  for (const auto& scenarios : {catalogue(), pairs()})
    for (const MachineScenario& scenario : scenarios)
      for (const machine::Config& design : default_designs()) {
        if (!arguments.design.empty() && design.name != arguments.design) continue;
        if (!is_asked(arguments, scenario) || !applies(scenario, design)) continue;
        if (number++ % arguments.every == arguments.first % arguments.every)
          all.push_back(make_scenario(scenario, design));
      }
  return all;
}

int check_all(const Arguments& arguments) {
  const std::uint64_t start = schedule::now_ns();
  Totals totals;
  for (const Scenario& scenario : asked(arguments)) {
    const double seconds = static_cast<double>(schedule::now_ns() - start) / 1e9;
    if (arguments.seconds > 0 && seconds > arguments.seconds) break;
    check(scenario, arguments, totals);
  }
  std::printf(
      "%lu scenarios, %lu of them exhausted in %lu schedules: %lu outcomes; %lu others, of which "
      "%lu scenarios and strategies came to another one\n",
      totals.scenarios, totals.exhausted, totals.schedules, totals.outcomes, totals.sampled,
      totals.differ);
  return totals.differ != 0 || totals.exhausted == 0 ? 1 : 0;
}

}  // namespace
}  // namespace teeio::explore

int main(int argc, char** argv) {
  using namespace teeio::explore;
  CLI::App app("Scenarios: what the reduction comes to, against what random schedules do");
  Arguments arguments;
  app.add_option("PATTERN", arguments.patterns)->required();
  app.add_option("--design", arguments.design, "Of that one only");
  app.add_option("--reduced", arguments.reduced, "Schedules of the reduction, at most")
      ->capture_default_str();
  app.add_option("--sampled", arguments.sampled, "Schedules of each other strategy")
      ->capture_default_str();
  app.add_option("--seed", arguments.seed)->capture_default_str();
  app.add_option("--every", arguments.every, "Only one in so many scenarios")
      ->check(CLI::PositiveNumber);
  app.add_option("--first", arguments.first, "The first of those")->capture_default_str();
  app.add_flag("--forget-touches", arguments.forgets,
               "The reduction is not told what moves touch, to see it noticed");
  app.add_option("--seconds", arguments.seconds, "No further scenario after so long");
  CLI11_PARSE(app, argc, argv);
  return check_all(arguments);
}
