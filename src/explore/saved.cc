#include "explore/saved.h"

#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "schedule/strategy.h"

namespace teeio::explore {
namespace {

using nlohmann::json;
using Verdict = ScenarioResult::Verdict;

constexpr int kVersion = 1;
constexpr int kOtherVersion = 501, kBadNumber = 502;  // of our own exceptions

[[noreturn]] void refuse(int id) { throw json::other_error::create(id, "", nullptr); }

/// A whole number that fits: get() takes any, and cuts it off.
template <std::unsigned_integral T>
T number(const json& value) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > std::numeric_limits<T>::max())
    refuse(kBadNumber);
  return static_cast<T>(value.get<std::uint64_t>());
}
template <std::unsigned_integral T>
void read(const json& value, T& into) {
  into = number<T>(value);
}

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kExhausted:
      return "exhausted";
    case Verdict::kBounded:
      return "bounded";
    case Verdict::kFound:
      return "found";
  }
  return "?";
}

Verdict verdict_of(const std::string& name) {
  if (name == "exhausted") return Verdict::kExhausted;
  return name == "found" ? Verdict::kFound : Verdict::kBounded;
}

json json_of(const Failure& f) {
  return {{"rule", f.rule},         {"what", f.what},
          {"where", f.where},       {"choices", schedule::to_text(f.choices)},
          {"switches", f.switches}, {"failures", f.failures},
          {"tasks", f.tasks},       {"story", f.story}};
}

Failure failure_of(const json& j) {
  Failure f{.rule = j.at("rule"), .what = j.at("what"), .where = j.at("where")};
  if (auto choices = schedule::parse_choices(j.at("choices").get<std::string>()))
    f.choices = std::move(*choices);
  read(j.at("switches"), f.switches);
  read(j.at("failures"), f.failures);
  f.tasks = j.at("tasks").get<std::vector<std::string>>();
  f.story = j.at("story");
  return f;
}

json json_of(const CallAnswers& call) {
  json answers = json::array();
  for (const AnswerCount& a : call.answers) {
    answers.push_back({{"answer", a.answer}, {"times", a.times}});
    if (!a.why.empty()) answers.back()["why"] = a.why;
  }
  return {{"where", call.where},       {"call", call.call},       {"allowed", call.allowed},
          {"explored", call.explored}, {"of_many", call.of_many}, {"answers", std::move(answers)}};
}

CallAnswers answers_of(const json& j) {
  CallAnswers call{.where = j.at("where"),
                   .call = j.at("call"),
                   .allowed = j.at("allowed").get<std::vector<std::string>>(),
                   .explored = j.at("explored"),
                   .of_many = j.value("of_many", false),
                   .answers = {}};
  for (const json& a : j.at("answers"))
    call.answers.push_back({.answer = a.at("answer"),
                            .times = number<std::uint64_t>(a.at("times")),
                            .why = a.value("why", "")});
  return call;
}

/// A part as four numbers and a flag: an exploration has thousands.
json json_of(const PartResult& p) {
  return json::array({p.part, p.schedules, p.pruned, p.points, p.exhausted});
}

PartResult part_of(const json& j) {
  PartResult p;
  read(j.at(0), p.part);
  read(j.at(1), p.schedules);
  read(j.at(2), p.pruned);
  read(j.at(3), p.points);
  p.exhausted = j.at(4);
  return p;
}

json json_of(const Covered& row) {
  return {
      {"kind", covered_kind_name(row.kind)}, {"name", row.name}, {"reach", reach_name(row.reach)}};
}

Covered covered_of(const json& j) {
  Covered row{.kind = {}, .name = j.at("name"), .reach = {}};
  const std::string kind = j.at("kind"), reach = j.at("reach");
  for (std::size_t i = 0; i < kCoveredKinds; ++i)
    if (covered_kind_name(static_cast<CoveredKind>(i)) == kind)
      row.kind = static_cast<CoveredKind>(i);
  for (const Reach one : {Reach::kAlone, Reach::kTogether})
    if (reach_name(one) == reach) row.reach = one;
  return row;
}

json json_of(const CoverageTotal& row) {
  return {{"kind", covered_kind_name(row.kind)},
          {"name", row.name},
          {"reach", reach_name(row.reach())},
          {"together", row.together},
          {"alone", row.alone}};
}

json json_of(const ShardResult& s) {
  const ScenarioResult& r = s.result;
  json j = {{"name", r.name},
            {"verdict", verdict_name(r.verdict)},
            {"as_expected", r.as_expected},
            {"schedules", r.schedules},
            {"pruned", r.pruned},
            {"points", r.points},
            {"seconds", r.seconds},
            {"bound", r.bound}};
  if (r.expected.breaks()) j["expected"] = {{"rules", r.expected.rules}, {"text", r.expected.text}};
  for (const CallAnswers& call : r.answers) j["calls"].push_back(json_of(call));
  for (const Contention& c : r.contention)
    j["contention"].push_back({{"at", c.at}, {"reversals", c.reversals}});
  for (const Covered& row : r.coverage) j["coverage"].push_back(json_of(row));
  if (!r.warnings.empty()) j["warnings"] = r.warnings;
  if (r.failure) j["failure"] = json_of(*r.failure);
  if (s.parts == 0) return j;
  json done = json::array();
  for (const PartResult& part : s.done) done.push_back(json_of(part));
  j["partition"] = {{"parts", s.parts}, {"digest", s.partition}, {"done", std::move(done)}};
  return j;
}

ShardResult result_of(const json& j) {
  ShardResult s;
  ScenarioResult& r = s.result;
  r.name = j.at("name");
  r.verdict = verdict_of(j.at("verdict"));
  r.as_expected = j.at("as_expected");
  read(j.at("schedules"), r.schedules);
  read(j.at("pruned"), r.pruned);
  read(j.at("points"), r.points);
  r.seconds = j.at("seconds");
  r.bound = j.at("bound");
  if (j.contains("expected")) {
    r.expected.rules = j.at("expected").at("rules").get<std::vector<std::string>>();
    r.expected.text = j.at("expected").at("text");
  }
  if (j.contains("calls"))
    for (const json& call : j.at("calls")) r.answers.push_back(answers_of(call));
  if (j.contains("contention"))
    for (const json& c : j.at("contention"))
      r.contention.push_back({c.at("at"), number<std::uint64_t>(c.at("reversals"))});
  if (j.contains("coverage"))
    for (const json& row : j.at("coverage")) r.coverage.push_back(covered_of(row));
  if (j.contains("warnings")) r.warnings = j.at("warnings").get<std::vector<std::string>>();
  if (j.contains("failure")) r.failure = failure_of(j.at("failure"));
  if (!j.contains("partition")) return s;
  const json& partition = j.at("partition");
  read(partition.at("parts"), s.parts);
  read(partition.at("digest"), s.partition);
  for (const json& part : partition.at("done")) {
    s.done.push_back(part_of(part));
    if (s.done.back().part >= s.parts) refuse(kBadNumber);
  }
  return s;
}

/// Why, in words of ours.
std::string reason_of(const json::exception& error) {
  if (const auto* parse = dynamic_cast<const json::parse_error*>(&error))
    return "it is no JSON from byte " + std::to_string(parse->byte) + " on";
  if (error.id == kBadNumber) return "a number is out of range";
  if (dynamic_cast<const json::out_of_range*>(&error) != nullptr) return "a part is missing";
  if (dynamic_cast<const json::type_error*>(&error) != nullptr) return "a part is of another kind";
  return "another version wrote it";
}

/// Reads with `read`, which may throw as nlohmann::json does.
template <class T>
std::expected<T, std::string> parse_with(std::string_view text, T (*read)(const json&)) {
  try {
    return read(json::parse(text));
  } catch (const json::exception& error) {
    return std::unexpected("not what `teeio explore` wrote: " + reason_of(error));
  }
}

Saved saved_of(const json& j) {
  if (j.at("teeio_explore") != kVersion) refuse(kOtherVersion);
  Saved saved;
  saved.strategy = j.at("strategy");
  const json& failures = j.at("failures");
  saved.failures = failures.is_null() ? Saved::kNoLimit : number<std::uint32_t>(failures);
  saved.interrupted = j.value("interrupted", "");
  read(j.at("shard").at(0), saved.shard.index);
  read(j.at("shard").at(1), saved.shard.count);
  if (saved.shard.index >= saved.shard.count) refuse(kBadNumber);
  saved.wanted = j.at("wanted").get<std::vector<std::string>>();
  for (const json& s : j.at("scenarios")) saved.scenarios.push_back(result_of(s));
  return saved;
}

}  // namespace

std::string to_json(const ShardResult& result) {
  return json_of(result).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::expected<ShardResult, std::string> parse_result(std::string_view text) {
  return parse_with<ShardResult>(text, result_of);
}

std::string to_json(const Saved& saved) {
  json scenarios = json::array();
  for (const ShardResult& s : saved.scenarios) scenarios.push_back(json_of(s));
  json j = {{"teeio_explore", kVersion},
            {"strategy", saved.strategy},
            {"failures", saved.failures == Saved::kNoLimit ? json() : json(saved.failures)},
            {"shard", {saved.shard.index, saved.shard.count}},
            {"wanted", saved.wanted},
            {"scenarios", std::move(scenarios)}};
  for (const CoverageTotal& row : saved.coverage) j["coverage"].push_back(json_of(row));
  if (!saved.interrupted.empty()) j["interrupted"] = saved.interrupted;
  return j.dump(1, ' ', false, json::error_handler_t::replace) + '\n';
}

std::expected<Saved, std::string> parse_saved(std::string_view text) {
  return parse_with<Saved>(text, saved_of);
}

}  // namespace teeio::explore
