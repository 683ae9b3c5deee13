#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "cli/commands.h"
#include "cli/explore_arguments.h"
#include "cli/explore_designs.h"
#include "cli/explore_output.h"
#include "cli/explore_scenarios.h"
#include "cli/print.h"
#include "explore/jobs/reports.h"
#include "explore/jobs/workers.h"
#include "explore/saved.h"
#include "explore/scenario/catalogue.h"
#include "explore/shrink.h"
#include "schedule/plant_bug.h"
#include "schedule/task.h"

namespace teeio::cli {
namespace {

using explore::Failure;
using explore::Scenario;
using explore::ScenarioResult;
using explore::ShardResult;
using explore::Workers;
using Verdict = ScenarioResult::Verdict;

/// Between two messages or savings.
constexpr std::uint64_t kQuarterSecondNs = 250'000'000;

// What a child says: a letter, then
constexpr char kProgress = 'P';  // schedules and seconds
constexpr char kSoFar = 'S';     // a ShardResult
constexpr char kResult = 'R';    // the last one
constexpr char kChart = 'C';     // a JSON string, before the result

/// Whether a quarter of a second has gone by since it last said so.
class Pace {
 public:
  bool due() {
    const std::uint64_t now = schedule::now_ns();
    if (now - last_ns_ < kQuarterSecondNs) return false;
    last_ns_ = now;
    return true;
  }

 private:
  std::uint64_t last_ns_ = 0;
};

class Exploration {
 public:
  Exploration(const ExploreArguments& arguments, std::vector<Scenario> scenarios)
      : arguments_(arguments),
        scenarios_(std::move(scenarios)),
        results_(scenarios_.size()),
        charts_(scenarios_.size()),
        ended_(scenarios_.size()),
        progress_(arguments.progress) {
    saved_.strategy = explore::strategy_name(arguments.options.strategy);
    saved_.failures = arguments.options.failures.value_or(explore::Saved::kNoLimit);
    saved_.shard = arguments.shard.value_or(explore::Shard{});
    for (const Scenario& s : scenarios_) saved_.wanted.push_back(s.name);
  }

  int run() {
    if (!arguments_.resume.empty() && !resume()) return kExploreUsage;
    if (!open_files()) return kExploreUsage;
    const Workers workers(arguments_.jobs == 0 ? explore::processors() : arguments_.jobs);
    if (arguments_.tap) print("{}", explore::tap_head(scenarios_.size()));
    const int signal =
        workers.run(scenarios_.size(),
                    {.work = [this](std::size_t i, const Workers::Say& say) { work(i, say); },
                     .heard = [this](std::size_t i, const std::string& line) { heard(i, line); },
                     .ended = [this](std::size_t i, const std::string& how) { ended(i, how); }});
    progress_.clear();
    if (signal != 0) interrupt(signal);
    say_totals();
    if (!save(Moment::kEnd)) return kExploreUsage;
    if (signal != 0) return kExploreSignal + signal;
    if (totals_.failed != 0) return kExploreFound;
    return arguments_.demands.exhausted && totals_.bounded != 0 ? kExploreOpen : kExploreHolds;
  }

 private:
  enum class Moment : std::uint8_t { kUnderWay, kEnd };

  [[nodiscard]] const std::string& save_path() const {
    return arguments_.save.empty() ? arguments_.resume : arguments_.save;
  }

  bool resume() {
    if (!std::filesystem::exists(arguments_.resume)) {
      complain_text(fmt::format("teeio explore: {}: not there yet, so this is the beginning\n",
                                arguments_.resume));
      return true;
    }
    const auto text = read_file(arguments_.resume);
    if (!text) return complain(text.error());
    const auto before = explore::parse_saved(*text);
    if (!before) return complain(arguments_.resume, before.error());
    if (before->strategy != saved_.strategy || before->failures != saved_.failures ||
        before->wanted != saved_.wanted)
      return complain(arguments_.resume, "is of other scenarios, strategy or failures");
    if (arguments_.shard->count != 1 && (arguments_.shard->index != before->shard.index ||
                                         arguments_.shard->count != before->shard.count))
      return complain(arguments_.resume, "is of another shard");
    saved_.shard = before->shard;
    for (const ShardResult& s : before->scenarios)
      for (std::size_t i = 0; i < scenarios_.size(); ++i)
        if (scenarios_[i].name == s.result.name) results_[i] = s;
    return true;
  }

  static bool complain(const std::string& why) {
    complain_text(fmt::format("teeio explore: {}\n", why));
    return false;
  }
  static bool complain(const std::string& path, const std::string& why) {
    return complain(path + ": " + why);
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
    return open(save_path(), save_file_) && open(arguments_.json, json_file_) &&
           open(arguments_.junit, junit_file_);
  }

  // ---- In the child

  void work(std::size_t i, const Workers::Say& say) {
    Pace pace;
    if (scenarios_[i].answers && results_[i])
      scenarios_[i].answers->add(results_[i]->result.answers);
    explore::Options options = arguments_.options;
    options.on_progress = [&](const explore::Progress& p) {
      if (pace.due())
        say(fmt::format("{}{} {:.1f} {:.3f}", kProgress, p.schedules, p.seconds, p.share_done));
      return !Workers::is_stopping();
    };
    ShardResult result;
    if (arguments_.shard) {
      const auto before = results_[i] ? results_[i]->done : std::vector<explore::PartResult>{};
      Pace saving;
      result = explore::run_shard(scenarios_[i], options, saved_.shard, before,
                                  [&](const ShardResult& so_far) {
                                    if (saving.due()) say(kSoFar + explore::to_json(so_far));
                                  });
    } else {
      result.result = explore::run_scenario(scenarios_[i], options);
    }
    if (result.result.failure)
      say(kChart + nlohmann::json(draw(scenarios_[i], *result.result.failure)).dump());
    say(kResult + explore::to_json(result));
  }

  [[nodiscard]] std::string draw(const Scenario& scenario, const Failure& failure) const {
    explore::keep_events(true);
    const auto again = explore::replay(scenario, failure.choices);
    return failure_chart(again ? *again : failure, arguments_.chart, stdout_has_colour());
  }

  // ---- In the parent

  void heard(std::size_t i, const std::string& line) {
    const std::string rest = line.substr(1);
    switch (line[0]) {
      case kProgress:
        show_progress(i, rest);
        return;
      case kChart:
        charts_[i] = nlohmann::json::parse(rest).get<std::string>();
        return;
      case kSoFar:
      case kResult:
        if (auto result = explore::parse_result(rest)) results_[i] = std::move(*result);
        if (line[0] == kResult) ended_[i] = true;
        (void)save(Moment::kUnderWay);
        return;
      default:
        return;
    }
  }

  void show_progress(std::size_t i, const std::string& numbers) {
    std::istringstream in(numbers);
    std::uint64_t schedules = 0;
    double seconds = 0;
    double share = 0;
    in >> schedules >> seconds >> share;
    std::string left;
    if (share > 0.01 && seconds > 1)
      left = fmt::format(", {:.0f} s left", seconds / share * (1 - share));
    progress_.show(fmt::format("{}/{} {}: {} schedules, {:.0f}/s, {:.0f} %{}", printed_,
                               scenarios_.size(), scenarios_[i].name, schedules,
                               static_cast<double>(schedules) / std::max(seconds, 0.001),
                               share * 100, left));
  }

  void ended(std::size_t i, const std::string& how) {
    if (!ended_[i]) {  // it died before its result
      ShardResult died;
      died.result.name = scenarios_[i].name;
      died.result.verdict = Verdict::kFound;
      died.result.failure =
          Failure{.rule = "crash", .what = "the process that explored it was ended by " + how};
      results_[i] = std::move(died);
      ended_[i] = true;
    }
    for (; printed_ < scenarios_.size() && ended_[printed_]; ++printed_) print_result(printed_);
  }

  void print_result(std::size_t i) {
    progress_.clear();
    const ScenarioResult& r = results_[i]->result;
    const explore::Judgement judgement = explore::judge(r, arguments_.demands);
    totals_.add(r, judgement);
    if (arguments_.tap) {
      print("{}", explore::tap_line(i + 1, reported(i)));
      (void)standard_output_problem();
      return;
    }
    print("{}\n", result_line(r, judgement, stdout_has_colour()));
    const bool drawn = !r.as_expected || arguments_.chart ||
                       arguments_.options.strategy == explore::StrategyKind::kReplay;
    if (r.failure) {
      const std::string replay = replay_of(scenarios_[i], *r.failure, arguments_);
      print("{}", drawn ? failure_text(*r.failure, charts_[i], replay)
                        : expected_text(*r.failure, replay));
    }
    print("{}", answers_text(r));
    for (const std::string& warning : r.warnings)
      print("  {}: {}\n", arguments_.demands.strict ? "error" : "warning", warning);
    (void)standard_output_problem();  // each line at once; main tells what failed
  }

  /// Also what ended out of its turn is told.
  void interrupt(int signal) {
    saved_.interrupted = explore::signal_name(signal);
    std::size_t missing = 0;
    for (std::size_t i = 0; i < scenarios_.size(); ++i) {
      if (!ended_[i]) ++missing;
      if (ended_[i] && i >= printed_) print_result(i);
    }
    if (arguments_.tap)
      print("Bail out! stopped by {}\n", saved_.interrupted);
    else
      print("stopped by {}: {} of {} scenarios were not explored\n", saved_.interrupted, missing,
            scenarios_.size());
  }

  void say_totals() {
    print("{}{}\n", arguments_.tap ? "# " : "", totals_.text());
    if (arguments_.demands.exhausted && totals_.bounded != 0)
      print("{}not exhausted: {} scenarios\n", arguments_.tap ? "# " : "", totals_.bounded);
  }

  /// As reports have it: nothing of a scenario that did not come to an end.
  [[nodiscard]] explore::Reported reported(std::size_t i) const {
    explore::Reported r{
        .name = scenarios_[i].name, .result = nullptr, .judgement = {}, .replay = {}};
    if (!ended_[i]) return r;
    r.result = &results_[i]->result;
    r.judgement = explore::judge(*r.result, arguments_.demands);
    if (r.result->failure) r.replay = replay_of(scenarios_[i], *r.result->failure, arguments_);
    return r;
  }

  [[nodiscard]] std::string junit_text() const {
    std::vector<explore::Reported> all;
    for (std::size_t i = 0; i < scenarios_.size(); ++i) all.push_back(reported(i));
    return explore::junit(all, saved_.interrupted);
  }

  bool save(Moment moment) {
    if (moment == Moment::kUnderWay && (save_path().empty() || !saving_.due())) return true;
    saved_.scenarios.clear();
    for (const auto& result : results_)
      if (result) saved_.scenarios.push_back(*result);
    const std::string text = explore::to_json(saved_);
    const auto write = [&](std::optional<OutputFile>& file, const std::string& what) {
      if (!file) return;
      if (const auto done = file->write(what); !done) {
        saves_ = complain(done.error());
        file.reset();  // said once
      }
    };
    write(save_file_, text);
    if (moment == Moment::kEnd) write(json_file_, text);
    if (moment == Moment::kEnd && junit_file_) write(junit_file_, junit_text());
    return saves_;
  }

  const ExploreArguments& arguments_;
  const std::vector<Scenario> scenarios_;
  std::vector<std::optional<ShardResult>> results_;  // also of before, of what is resumed
  std::vector<std::string> charts_;
  std::vector<bool> ended_;
  std::size_t printed_ = 0;
  explore::Saved saved_;
  std::optional<OutputFile> save_file_, json_file_, junit_file_;
  bool saves_ = true;
  Pace saving_;
  Totals totals_;
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
  using schedule::SeededBug;
  const schedule::PlantedBug bug(
      schedule::parse_seeded_bug(arguments.seeded_bug).value_or(SeededBug::kNone));
  return Exploration(arguments, std::move(*scenarios)).run();
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
    print("{}\n{}", result_line(r, judgement, stdout_has_colour()), answers_text(r));
    for (const std::string& warning : r.warnings) print("  warning: {}\n", warning);
  }
  print("{}\n", totals.text());
  for (const std::string& gap : merged->gaps) print("not the whole: {}\n", gap);
  if (merged->gaps.empty())
    print("the {} shards are the whole: each part was run to its end exactly once\n",
          shards.size());
  return totals.failed == 0 && merged->gaps.empty() ? kExploreHolds : kExploreFound;
}

void add_explore_command(Command& root) { declare_explore(root, explore_command, merge_shards); }

}  // namespace teeio::cli
