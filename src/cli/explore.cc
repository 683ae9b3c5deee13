#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/explore_arguments.h"
#include "cli/explore_designs.h"
#include "cli/explore_output.h"
#include "cli/explore_scenarios.h"
#include "cli/print.h"
#include "explore/jobs/exploration.h"
#include "explore/jobs/reports.h"
#include "explore/jobs/workers.h"
#include "explore/saved.h"
#include "explore/scenario/catalogue.h"
#include "explore/scenario/coverage.h"
#include "explore/scenario/seeded_bugs.h"
#include "explore/shrink.h"
#include "schedule/plant_bug.h"

namespace teeio::cli {
namespace {

using explore::Exploration;
using explore::Failure;
using explore::Scenario;
using explore::ScenarioResult;

explore::Exploration::Plan plan_of(const ExploreArguments& arguments) {
  explore::Exploration::Plan plan{
      .options = arguments.options,
      .demands = arguments.demands,
      .shard = arguments.shard,
      .jobs = arguments.jobs == 0 ? explore::processors() : arguments.jobs,
      .coverage = arguments.coverage.has_value()};
  if (plan.coverage)
    if (const auto designs = find_designs(arguments))
      plan.reachable = explore::what_can_be_reached(*designs);
  return plan;
}

/// Prints an exploration as it goes, and writes its files.
class Show final : private explore::ExplorationListener {
 public:
  Show(const ExploreArguments& arguments, std::vector<Scenario> scenarios)
      : arguments_(arguments),
        exploration_(plan_of(arguments), std::move(scenarios), *this),
        progress_(arguments.progress) {}

  int run() {
    if (!arguments_.resume.empty() && !resume()) return kExploreUsage;
    if (!open_files()) return kExploreUsage;
    if (arguments_.tap) print("{}", explore::tap_head(exploration_.size()));
    const int signal = exploration_.run();
    progress_.clear();
    if (signal != 0) interrupt();
    say_totals();
    write(save_file_, exploration_.saved());
    write(json_file_, exploration_.saved());
    say_coverage();
    write(junit_file_, exploration_.junit());
    if (!saves_) return kExploreUsage;
    if (signal != 0) return kExploreSignal + signal;
    if (totals_.failed != 0) return kExploreFound;
    if (arguments_.demands.strict && !never_succeeded_.empty()) return kExploreFound;
    return arguments_.demands.exhausted && totals_.bounded != 0 ? kExploreOpen : kExploreHolds;
  }

 private:
  // ---- ExplorationListener

  std::string picture(const Scenario& scenario, const Failure& failure) override {
    explore::keep_events(true);
    const auto again = explore::replay(scenario, failure.choices);
    return failure_chart(again ? *again : failure, arguments_.chart, may_colour(STDOUT_FILENO));
  }
  std::string replay(const Scenario& scenario, const Failure& failure) override {
    return replay_of(scenario, failure, arguments_);
  }
  void goes_on(const Scenario& scenario, const explore::Progress& p) override {
    std::string left;
    if (p.share_done > 0.01 && p.seconds > 1)
      left = fmt::format(", {:.0f} s left", p.seconds / p.share_done * (1 - p.share_done));
    progress_.show(fmt::format("{}/{} {}: {} schedules, {:.0f}/s, {:.0f} %{}", printed_,
                               exploration_.size(), scenario.name, p.schedules,
                               static_cast<double>(p.schedules) / std::max(p.seconds, 0.001),
                               p.share_done * 100, left));
  }
  void ended(std::size_t index) override { print_result(index); }
  void has_more() override {
    if (save_file_) write(save_file_, exploration_.saved());
  }

  // ---- Files

  static bool complain(const std::string& why) {
    complain_text(fmt::format("teeio explore: {}\n", why));
    return false;
  }

  bool resume() {
    if (!std::filesystem::exists(arguments_.resume)) {
      complain_text(fmt::format("teeio explore: {}: not there yet, so this is the beginning\n",
                                arguments_.resume));
      return true;
    }
    const auto text = read_file(arguments_.resume);
    if (!text) return complain(text.error());
    const auto resumed = exploration_.resume(*text);
    return resumed || complain(arguments_.resume + ": " + resumed.error());
  }

  /// Before the work: what could not be written is known now.
  bool open_files() {
    const auto open = [](const std::string& path, std::optional<OutputFile>& to) {
      if (path.empty()) return true;
      auto file = OutputFile::open(path);
      if (!file) return complain(file.error());
      to.emplace(std::move(*file));
      return true;
    };
    const std::string& save = arguments_.save.empty() ? arguments_.resume : arguments_.save;
    return open(save, save_file_) && open(arguments_.json, json_file_) &&
           open(arguments_.junit, junit_file_) &&
           open(arguments_.coverage.value_or(""), coverage_file_);
  }

  void write(std::optional<OutputFile>& file, const std::string& text) {
    if (!file) return;
    if (const auto done = file->write(text); !done) {
      saves_ = complain(done.error());
      file.reset();  // said once
    }
  }

  // ---- Lines

  void print_result(std::size_t i) {
    progress_.clear();
    printed_ = std::max(printed_, i + 1);
    const explore::Reported reported = exploration_.reported(i);
    const ScenarioResult& r = *reported.result;
    totals_.add(r, reported.judgement);
    if (arguments_.tap) {
      print("{}", explore::tap_line(i + 1, reported));
      (void)standard_output_problem();
      return;
    }
    print("{}\n", result_line(r, reported.judgement, may_colour(STDOUT_FILENO)));
    const bool drawn = !r.as_expected || arguments_.chart ||
                       arguments_.options.strategy == explore::StrategyKind::kReplay;
    if (r.failure)
      print("{}", drawn ? failure_text(*r.failure, arguments_.options.shrink,
                                       exploration_.picture(i), reported.replay)
                        : expected_text(*r.failure, reported.replay));
    print("{}{}", answers_text(r), contention_text(r));
    for (const std::string& warning : r.warnings)
      print("  {}: {}\n", arguments_.demands.strict ? "error" : "warning", warning);
    (void)standard_output_problem();  // each line at once; main tells what failed
  }

  /// Also what ended out of its turn is told.
  void interrupt() {
    std::size_t missing = 0;
    for (std::size_t i = 0; i < exploration_.size(); ++i) {
      if (!exploration_.has_ended(i)) ++missing;
      if (exploration_.has_ended(i) && i >= printed_) print_result(i);
    }
    const std::string& signal = exploration_.interrupted();
    if (arguments_.tap)
      print("Bail out! stopped by {}\n", signal);
    else
      print("stopped by {}: {} of {} scenarios were not explored\n", signal, missing,
            exploration_.size());
  }

  void say_totals() {
    totals_.failures = arguments_.options.failures;
    totals_.shard = arguments_.shard;
    never_succeeded_ = totals_.never_succeeded_text(arguments_.demands.strict);
    if (!arguments_.tap) print("{}", never_succeeded_);
    print("{}{}\n", arguments_.tap ? "# " : "", totals_.text());
    if (arguments_.demands.exhausted && totals_.bounded != 0)
      print("{}not exhausted: {}\n", arguments_.tap ? "# " : "",
            counted(totals_.bounded, "scenario"));
  }

  void say_coverage() {
    if (!arguments_.coverage) return;
    const std::string text = exploration_.coverage().text();
    if (coverage_file_)
      write(coverage_file_, text);
    else
      print("\n{}", text);
  }

  const ExploreArguments& arguments_;
  Exploration exploration_;
  std::size_t printed_ = 0;
  std::optional<OutputFile> save_file_, json_file_, junit_file_, coverage_file_;
  bool saves_ = true;
  Totals totals_;
  std::string never_succeeded_;  ///< calls of many scenarios, in words
  ProgressLine progress_;
};

int explore_command(const ExploreArguments& arguments) {
  if (arguments.designs.has_value()) return explore_designs(arguments);
  if (!arguments.seeded_file.empty()) return explore_seeded_bugs(arguments.seeded_file);
  auto scenarios = find_scenarios(arguments);
  if (!scenarios) {
    complain_text(fmt::format("teeio explore: {}\n", scenarios.error()));
    return kExploreUsage;
  }
  if (arguments.list) {
    for (const Scenario& s : *scenarios) print("{}\n    {}\n", s.name, s.description);
    return kExploreHolds;
  }
  const schedule::PlantedBug bug(
      explore::parse_seeded_bug(arguments.seeded_bug).value_or(schedule::SeededBug{}));
  return Show(arguments, std::move(*scenarios)).run();
}

}  // namespace

int merge_shards(const std::vector<std::string>& files) {
  std::vector<explore::Saved> shards;
  for (const std::string& file : files) {
    const auto text = read_file(file);
    if (!text) {
      complain_text(fmt::format("teeio explore merge: {}\n", text.error()));
      return kExploreUsage;
    }
    auto saved = explore::parse_saved(*text);
    if (!saved) {
      complain_text(fmt::format("teeio explore merge: {}: {}\n", file, saved.error()));
      return kExploreUsage;
    }
    shards.push_back(std::move(*saved));
  }
  const auto merged = explore::merge(shards);
  if (!merged) {
    complain_text(fmt::format("teeio explore merge: {}\n", merged.error()));
    return kExploreUsage;
  }
  Totals totals;
  for (const ScenarioResult& r : merged->scenarios) {
    const explore::Judgement judgement = explore::judge(r, {});
    totals.add(r, judgement);
    print("{}\n{}", result_line(r, judgement, may_colour(STDOUT_FILENO)), answers_text(r));
    for (const std::string& warning : r.warnings) print("  warning: {}\n", warning);
  }
  print("{}{}\n", totals.never_succeeded_text(false), totals.text());
  for (const std::string& gap : merged->gaps) print("not the whole: {}\n", gap);
  if (merged->gaps.empty())
    print("the {} shards are the whole: each part was run to its end exactly once\n",
          shards.size());
  return totals.failed == 0 && merged->gaps.empty() ? kExploreHolds : kExploreFound;
}

void add_explore_command(Command& root) { declare_explore(root, explore_command, merge_shards); }

}  // namespace teeio::cli
