#include "explore/jobs/design_matrix.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "explore/jobs/words.h"
#include "explore/jobs/workers.h"
#include "explore/scenario/catalogue.h"
#include "explore/scenario/designs.h"

namespace teeio::explore {
namespace {

using nlohmann::json;
using Verdict = ScenarioResult::Verdict;

/// Its design's name in a result that another design made.
std::string with_design(const std::string& name, const std::string& design) {
  return name.substr(0, name.rfind('@') + 1) + design;
}

json to_json(const DesignResult& r) {
  const machine::Config& design = all_designs()[r.design];
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

DesignMatrix::Broken broken_of(const json& j) {
  return {.scenario = j.at("scenario"),
          .rule = j.at("rule"),
          .what = j.at("what"),
          .words = j.at("words"),
          .replay = j.at("replay"),
          .switches = j.at("switches"),
          .steps = j.at("steps")};
}

void add(DesignMatrix::Row& row, const json& j) {
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
  DesignMatrix::Broken broken = broken_of(j.at("broken"));
  ++row.rules[broken.rule];
  if (!row.shortest || broken.cost() < row.shortest->cost()) row.shortest = std::move(broken);
}

}  // namespace

DesignMatrix explore_all_designs(
    const Options& options, unsigned jobs,
    const std::function<void(std::size_t done, std::size_t all)>& progress) {
  std::vector<MachineScenario> scenarios;
  for (const MachineScenario& scenario : catalogue())
    if (!scenario.expectation.breaks()) scenarios.push_back(scenario);
  DesignMatrix matrix;
  matrix.rows.resize(all_designs().size());
  matrix.scenarios = scenarios.size();
  std::size_t done = 0;
  matrix.signal = Workers(jobs).run(
      scenarios.size(),
      {.work =
           [&](std::size_t i, const Workers::Say& say) {
             for (const DesignResult& r : run_on_all_designs(scenarios[i], options))
               say(to_json(r).dump());
           },
       .heard =
           [&](std::size_t, const std::string& line) {
             const json j = json::parse(line);
             add(matrix.rows[j.at("design").get<std::size_t>()], j);
           },
       .ended =
           [&](std::size_t i, const std::string& how) {
             if (!how.empty())
               matrix.crashed += fmt::format("{}: ended by {}\n", scenarios[i].name, how);
             progress(++done, scenarios.size());
           }});
  return matrix;
}

}  // namespace teeio::explore
