#include <fmt/format.h>

#include "cli/explore_designs.h"
#include "cli/print.h"
#include "explore/jobs/words.h"
#include "explore/scenario/seeded.h"
#include "explore/scenario/seeded_bugs.h"

namespace teeio::cli {
namespace {

std::string row_of(const explore::SeededScenario& seeded, const explore::SeededResult& result) {
  const explore::SeededBugInfo& info = explore::seeded_bug_info(seeded.bug);
  const explore::ScenarioResult& found = result.found;
  if (!found.failure)
    return fmt::format("| {} | {} | {} | **not found** in {} | | | | |\n", info.name, info.place,
                       seeded.scenario, found.bound);
  const explore::Failure& f = *found.failure;
  std::string poor = result.first_finds ? "finds it" : "misses it";
  poor += result.random_finds ? fmt::format("; random finds it at {}", *result.random_finds)
                              : fmt::format("; {} random miss it", explore::kRandomSchedules);
  if (!seeded.easy_because.empty()) poor += fmt::format(": {}", seeded.easy_because);
  return fmt::format(
      "| {} | `{}` | {} | {}, {} | {} ({}): {} | {} | {} | `{}` |\n", info.name, info.place,
      seeded.scenario, found.schedules + found.pruned, strategy_name(seeded.strategy), f.switches,
      explore::schedule_in_words(f), f.what,
      found.seconds < 0.1 ? "< 0.1 s" : fmt::format("{:.0f} s", found.seconds + 0.5), poor,
      explore::replay_command(found, fmt::format(" --seeded-bug {}", info.name)));
}

}  // namespace

int explore_seeded_bugs(const std::string& file) {
  const std::string by_hand = written_by_hand(file, "# Seeded bugs\n\n");
  auto page = OutputFile::open(file);
  if (!page) {
    complain("teeio explore: {}\n", page.error());
    return kExploreUsage;
  }
  std::string bugs, table;
  bool all = true;
  for (const explore::SeededScenario& seeded : explore::seeded_scenarios()) {
    const auto result = find_seeded(seeded, explore::Compare::kYes);
    all = all && result.found.as_expected;
    const explore::SeededBugInfo& info = explore::seeded_bug_info(seeded.bug);
    bugs += fmt::format("| {} | {} | {} |\n", info.name, info.what, info.source);
    table += row_of(seeded, result);
  }
  const std::string text = fmt::format(
      "## What each bug was\n\n| bug | the mistake | whose |\n|---|---|---|\n{}\n"
      "## What finds it\n\nSchedules: `bounded`, by all orders with at most two preemptions, those "
      "with fewer first; `pct`, by random priorities. Shortest schedule: preemptions, then turns. "
      "Without preemption: the one schedule in "
      "which nobody is interrupted.\n\n| bug | place | scenario | schedules | shortest schedule | "
      "time | without preemption, and at random | replay |\n|---|---|---|---|---|---|---|---|\n{}",
      bugs, table);
  if (const auto done = page->write(by_hand + std::string(kGenerated) + text); !done) {
    complain("teeio explore: {}\n", done.error());
    return kExploreUsage;
  }
  return all ? kExploreHolds : kExploreFound;
}

}  // namespace teeio::cli
