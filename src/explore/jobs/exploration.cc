#include "explore/jobs/exploration.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "explore/scenario/coverage.h"
#include "explore/shrink.h"

namespace teeio::explore {
namespace {

using Verdict = ScenarioResult::Verdict;

// What a child says: a letter, then
constexpr char kProgress = 'P';  // schedules, points, seconds, and the share that is done
constexpr char kSoFar = 'S';     // a ShardResult
constexpr char kResult = 'R';    // the last one
constexpr char kPicture = 'C';   // a JSON string, before the result

ShardResult died(const Scenario& scenario, const std::string& how) {
  ShardResult result;
  result.result.name = scenario.name;
  result.result.verdict = Verdict::kFound;
  result.result.failure =
      Failure{.rule = "crash", .what = "the process that explored it was ended by " + how};
  return result;
}

std::string json_string(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Exploration::Exploration(Plan plan, std::vector<Scenario> scenarios, ExplorationListener& listener)
    : plan_(std::move(plan)),
      scenarios_(std::move(scenarios)),
      listener_(listener),
      results_(scenarios_.size()),
      pictures_(scenarios_.size()),
      ended_(scenarios_.size()) {
  saved_.strategy = strategy_name(plan_.options.strategy);
  saved_.failures = plan_.options.failures.value_or(Saved::kNoLimit);
  saved_.shard = plan_.shard.value_or(Shard{});
  for (const Scenario& s : scenarios_) saved_.wanted.push_back(s.name);
}

std::expected<void, std::string> Exploration::resume(std::string_view text) {
  const auto before = parse_saved(text);
  if (!before) return std::unexpected(before.error());
  if (before->strategy != saved_.strategy || before->failures != saved_.failures ||
      before->wanted != saved_.wanted)
    return std::unexpected("is of other scenarios, strategy or failures");
  const Shard wanted = saved_.shard;
  if (wanted.count != 1 &&
      (wanted.index != before->shard.index || wanted.count != before->shard.count))
    return std::unexpected("is of another shard");
  saved_.shard = before->shard;
  for (const ShardResult& s : before->scenarios)
    for (std::size_t i = 0; i < scenarios_.size(); ++i)
      if (scenarios_[i].name == s.result.name) results_[i] = s;
  return {};
}

int Exploration::run() {
  const int signal =
      Workers(plan_.jobs)
          .run(scenarios_.size(),
               {.work = [this](std::size_t i, const Workers::Say& say) { work(i, say); },
                .heard = [this](std::size_t i, const std::string& line) { heard(i, line); },
                .ended = [this](std::size_t i, const std::string& how) { child_ended(i, how); }});
  if (signal != 0) saved_.interrupted = signal_name(signal);
  return signal;
}

// ---- In the child

void Exploration::work(std::size_t index, const Workers::Say& say) {
  const Scenario& scenario = scenarios_[index];
  const auto& before = results_[index];
  if (scenario.answers && before) scenario.answers->add(before->result.answers);
  Pace progress, saving;
  Options options = plan_.options;
  options.on_progress = [&](const Progress& p) {
    if (progress.due())
      say(fmt::format("{}{} {} {:.1f} {:.3f}", kProgress, p.schedules, p.points, p.seconds,
                      p.share_done));
    return !Workers::is_stopping();
  };
  ShardResult result;
  Coverage coverage;
  if (plan_.coverage) watch_coverage(&coverage);
  if (plan_.shard)
    result = run_shard(scenario, options, saved_.shard,
                       before ? before->done : std::vector<PartResult>{},
                       [&](const ShardResult& so_far) {
                         if (saving.due()) say(kSoFar + to_json(so_far));
                       });
  else
    result.result = run_scenario(scenario, options);
  watch_coverage(nullptr);
  result.result.coverage = coverage.rows();
  if (result.result.failure)
    say(kPicture + json_string(listener_.picture(scenario, *result.result.failure)));
  say(kResult + to_json(result));
}

// ---- In the parent

void Exploration::heard(std::size_t index, const std::string& line) {
  const std::string rest = line.substr(1);
  switch (line[0]) {
    case kProgress:
      goes_on(index, rest);
      return;
    case kPicture:
      pictures_[index] = nlohmann::json::parse(rest).get<std::string>();
      return;
    case kSoFar:
    case kResult:
      if (auto result = parse_result(rest)) results_[index] = std::move(*result);
      if (line[0] == kResult) ended_[index] = true;
      if (saving_.due()) listener_.has_more();
      return;
    default:
      return;
  }
}

void Exploration::goes_on(std::size_t index, const std::string& numbers) {
  std::istringstream in(numbers);
  Progress progress;
  in >> progress.schedules >> progress.points >> progress.seconds >> progress.share_done;
  listener_.goes_on(scenarios_[index], progress);
}

void Exploration::child_ended(std::size_t index, const std::string& how) {
  // Before its result, or behind it: a sanitizer's process ends so that has reported something.
  const auto is_well = [&] {
    const ScenarioResult& result = results_[index]->result;
    return !result.failure || result.as_expected;
  };
  if (!ended_[index] || (!how.empty() && is_well())) {
    results_[index] = died(scenarios_[index], how);
    ended_[index] = true;
  }
  for (; told_ < scenarios_.size() && ended_[told_]; ++told_) listener_.ended(told_);
}

Reported Exploration::reported(std::size_t index) const {
  const Scenario& scenario = scenarios_[index];
  Reported r{.name = scenario.name, .result = nullptr, .judgement = {}, .replay = {}};
  if (!ended_[index]) return r;
  r.result = &results_[index]->result;
  r.judgement = judge(*r.result, plan_.demands);
  if (r.result->failure) r.replay = listener_.replay(scenario, *r.result->failure);
  return r;
}

CoverageTotals Exploration::coverage() const {
  CoverageTotals totals;
  totals.add(plan_.reachable);
  for (const auto& result : results_)
    if (result) totals.add(result->result.coverage);
  return totals;
}

std::string Exploration::saved() {
  saved_.scenarios.clear();
  if (plan_.coverage) saved_.coverage = coverage().rows();
  for (const auto& result : results_)
    if (result) saved_.scenarios.push_back(*result);
  return to_json(saved_);
}

std::string Exploration::junit() const {
  std::vector<Reported> all;
  for (std::size_t i = 0; i < scenarios_.size(); ++i) all.push_back(reported(i));
  return explore::junit(all, saved_.interrupted);
}

}  // namespace teeio::explore
