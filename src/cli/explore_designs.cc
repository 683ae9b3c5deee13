#include "cli/explore_designs.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/explore_output.h"
#include "cli/explore_words.h"
#include "cli/print.h"
#include "explore/jobs/workers.h"
#include "explore/scenario/catalogue.h"
#include "explore/scenario/designs.h"

namespace teeio::cli {
namespace {

using explore::DesignResult;
using explore::Failure;
using explore::ScenarioResult;
using nlohmann::json;
using Verdict = ScenarioResult::Verdict;

/// A scenario's share on one design: thousands of explorations are made.
constexpr std::uint64_t kSchedules = 40;

/// A broken scenario, as the table shows it.
struct Broken {
  std::string scenario, rule, what, words, replay;
  std::uint64_t switches = 0, steps = 0;
  auto cost() const { return std::tuple(switches, steps, replay.size(), scenario); }
};

/// What all scenarios said of one design.
struct Row {
  unsigned proved = 0, bounded = 0, broken = 0, reused = 0;
  std::uint64_t schedules = 0;
  std::optional<Broken> shortest;
  std::map<std::string, unsigned> rules;  ///< how many scenarios broke each
};

/// Its design's name in a result that another design made.
std::string with_design(const std::string& name, const std::string& design) {
  return name.substr(0, name.rfind('@') + 1) + design;
}

json to_json(const DesignResult& r) {
  const machine::Config& design = explore::all_designs()[r.design];
  json j = {{"design", r.design},
            {"reused", r.reused},
            {"verdict", static_cast<int>(r.result.verdict)},
            {"schedules", r.result.schedules + r.result.pruned}};
  if (!r.result.failure) return j;
  ScenarioResult named = r.result;
  named.name = with_design(named.name, design.name);
  const Failure& f = *named.failure;
  j["broken"] = {{"scenario", named.name.substr(0, named.name.rfind('@'))},
                 {"rule", f.rule},
                 {"what", f.what},
                 {"words", schedule_in_words(f)},
                 {"replay", replay_command(named)},
                 {"switches", f.switches},
                 {"steps", f.choices.size()}};
  return j;
}

Broken broken_of(const json& j) {
  return {.scenario = j.at("scenario"),
          .rule = j.at("rule"),
          .what = j.at("what"),
          .words = j.at("words"),
          .replay = j.at("replay"),
          .switches = j.at("switches"),
          .steps = j.at("steps")};
}

void add(Row& row, const json& j) {
  const auto verdict = static_cast<Verdict>(j.at("verdict").get<int>());
  if (j.at("reused").get<bool>())
    ++row.reused;
  else
    row.schedules += j.at("schedules").get<std::uint64_t>();
  switch (verdict) {
    case Verdict::kExhausted:
      ++row.proved;
      return;
    case Verdict::kBounded:
      ++row.bounded;
      return;
    case Verdict::kFound:
      break;
  }
  ++row.broken;
  Broken broken = broken_of(j.at("broken"));
  ++row.rules[broken.rule];
  if (!row.shortest || broken.cost() < row.shortest->cost()) row.shortest = std::move(broken);
}

/// A cell of a table: what would end it is taken out.
std::string cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.insert(at, "\\");
  return text;
}

/// "vfio", "mainline", …: a design's value of each setting.
std::string settings_of(const std::string& design) {
  std::string text;
  for (const explore::DesignAxis& axis : explore::design_axes()) {
    const std::string key = ',' + std::string(axis.key) + '=';
    const std::size_t at = design.find(key);
    std::string value(axis.values.front());
    if (at != std::string::npos) {
      const std::size_t from = at + key.size();
      value = design.substr(from, design.find(',', from) - from);
    }
    const bool usual = value == axis.values.front() || axis.key == "bind_owner";
    text += usual ? ' ' + value + " |" : " **" + value + "** |";
  }
  return text;
}

std::string verdict_of(const Row& row) {
  if (!row.shortest)
    return fmt::format("holds | {} proved, {} bounded; {} schedules | | |", row.proved, row.bounded,
                       row.schedules);
  std::string rules;
  for (const auto& [rule, count] : row.rules)
    rules += fmt::format("{}{} ({})", rules.empty() ? "" : ", ", rule, count);
  const Broken& b = *row.shortest;
  return fmt::format("**broken**: {} | {} proved, {} bounded; {} schedules | {} {}: {} | `{}` |",
                     rules, row.proved, row.bounded, row.schedules, b.scenario, cell(b.what),
                     cell(b.words), b.replay);
}

std::string page_of(const std::vector<Row>& rows, std::size_t scenarios,
                    std::uint64_t most_schedules) {
  const auto& designs = explore::all_designs();
  std::string text = fmt::format(
      "## The table\n\n"
      "{} scenarios on {} designs, at most {} schedules each by dynamic partial-order reduction. "
      "*Proved*: no order is left that was not run or is equal to one that was. *Bounded*: nothing "
      "was found in so many. Schedules are those run for the design itself: a scenario that never "
      "looked at the settings in which two designs differ is run once for both. Of a broken design "
      "the rules are given with how many scenarios break them, and the shortest schedule; the "
      "command shows it again.\n",
      scenarios, designs.size(), most_schedules);
  for (const explore::DesignFirmware& firmware : explore::design_firmwares()) {
    text += fmt::format("\n### {}\n\n", firmware.name);
    if (!firmware.skipped_because.empty()) {
      text += fmt::format("Skipped: {}.\n", firmware.skipped_because);
      continue;
    }
    text += "|";
    for (const explore::DesignAxis& axis : explore::design_axes())
      text += fmt::format(" {} |", axis.key);
    text += " verdict | scenarios that hold | shortest bad schedule | replay |\n|";
    for (std::size_t i = 0; i < explore::design_axes().size() + 4; ++i) text += "---|";
    text += '\n';
    for (std::size_t i = 0; i < designs.size(); ++i)
      if (designs[i].name.starts_with(firmware.name))
        text += fmt::format("|{} {}\n", settings_of(designs[i].name), verdict_of(rows[i]));
  }
  return text;
}

}  // namespace

int explore_designs(const ExploreArguments& arguments) {
  explore::Options options = arguments.options;
  if (options.max_schedules == explore::Options{}.max_schedules) options.max_schedules = kSchedules;
  const std::string path = arguments.designs.value_or("");
  const std::string by_hand = path.empty() ? "" : written_by_hand(path, "# Designs\n\n");
  std::optional<OutputFile> file;
  if (!path.empty()) {
    auto opened = OutputFile::open(path);
    if (!opened) {
      complain("teeio explore: {}\n", opened.error());
      return kExploreUsage;
    }
    file.emplace(std::move(*opened));
  }
  std::vector<explore::MachineScenario> scenarios;
  for (const explore::MachineScenario& scenario : explore::catalogue())
    if (!scenario.expectation.breaks()) scenarios.push_back(scenario);
  std::vector<Row> rows(explore::all_designs().size());
  std::string crashed;
  std::size_t done = 0;
  ProgressLine progress(arguments.progress);
  const int signal =
      explore::Workers(arguments.jobs == 0 ? explore::processors() : arguments.jobs)
          .run(scenarios.size(),
               {.work =
                    [&](std::size_t i, const explore::Workers::Say& say) {
                      for (const DesignResult& r : run_on_all_designs(scenarios[i], options))
                        say(to_json(r).dump());
                    },
                .heard =
                    [&](std::size_t, const std::string& line) {
                      const json j = json::parse(line);
                      add(rows[j.at("design").get<std::size_t>()], j);
                    },
                .ended =
                    [&](std::size_t i, const std::string& how) {
                      if (!how.empty())
                        crashed += fmt::format("{}: ended by {}\n", scenarios[i].name, how);
                      progress.show(
                          fmt::format("{}/{} scenarios on all designs", ++done, scenarios.size()));
                    }});
  progress.clear();
  if (signal != 0) {
    complain("teeio explore: stopped by {}: no table\n", explore::signal_name(signal));
    return kExploreSignal + signal;
  }
  if (!crashed.empty()) {
    complain("teeio explore --designs: {}", crashed);
    return kExploreFound;
  }
  const std::string page = page_of(rows, scenarios.size(), options.max_schedules);
  if (!file) {
    print("{}\n", page);
  } else if (const auto written = file->write(by_hand + std::string(kGenerated) + page); !written) {
    complain("teeio explore: {}\n", written.error());
    return kExploreUsage;
  }
  std::size_t holds = 0;
  for (const Row& row : rows) holds += row.broken == 0 ? 1 : 0;
  print("{} designs: {} hold, {} broken{}\n", rows.size(), holds, rows.size() - holds,
        path.empty() ? "" : "; see " + path);
  return kExploreHolds;
}

}  // namespace teeio::cli
