#include "cli/explore_output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "base/files.h"
#include "base/text.h"
#include "cli/print.h"
#include "explore/replay.h"
#include "explore/scenario/catalogue.h"
#include "report/chart.h"

namespace teeio::cli {
namespace {

using explore::Failure;
using explore::ScenarioResult;
using Verdict = ScenarioResult::Verdict;

std::string coloured(std::string_view word, bool good, bool colour) {
  if (!colour) return std::string(word);
  return fmt::format("\033[{}m{}\033[0m", good ? "32" : "1;31", word);
}

/// "NAME@DESIGN" apart.
std::pair<std::string, std::string> name_and_design(const std::string& name) {
  const std::size_t at = name.rfind('@');
  if (at == std::string::npos) return {name, ""};
  return {name.substr(0, at), name.substr(at + 1)};
}

std::string task_name(const Failure& failure, std::uint32_t task) {
  if (task < failure.tasks.size()) return failure.tasks[task];
  return fmt::format("task {}", task);
}

/// The steps, with a note where another task goes on.
std::vector<report::ChartStep> marked(const std::vector<report::ChartStep>& steps,
                                      const std::deque<object::Event>& events,
                                      const Failure& failure, std::uint64_t from) {
  std::vector<report::ChartStep> out;
  std::uint32_t last = 0;
  for (const report::ChartStep& step : steps) {
    if (step.number < from) continue;
    const auto event = std::ranges::lower_bound(events, step.number, {}, &object::Event::seq);
    if (event != events.end() && event->task != last) {
      last = event->task;
      report::ChartStep& note = out.emplace_back();
      note.number = step.number;
      note.from = step.from;
      note.to = step.from;
      note.note = true;
      note.label = fmt::format("=== {} goes on ===", task_name(failure, last));
    }
    out.push_back(step);
  }
  return out;
}

std::string sentence(const Failure& f) {
  // A broken rule's sentence begins with its number.
  std::string text =
      f.what.starts_with(f.rule + ':') ? "  " + f.what : fmt::format("  {}: {}", f.rule, f.what);
  // Where the check stands helps with ours; a rule and a scenario's line say all.
  const bool ours = !f.what.starts_with(f.rule + ':') && !f.what.starts_with("line ");
  if (const std::size_t at = f.where.find("src/"); ours && at != std::string::npos)
    text += fmt::format(" ({})", f.where.substr(at));
  return text + '\n';
}

std::string replay_line(const std::string& replay) { return "  replay: " + replay + '\n'; }

}  // namespace

std::string result_line(const ScenarioResult& r, const explore::Judgement& judgement, bool colour) {
  const bool good = judgement.kind == explore::Judgement::Kind::kGood;
  std::string line = coloured(good ? "ok" : "FAIL", good, colour);
  if (r.verdict == Verdict::kExhausted) line += " exhausted";
  if (r.verdict == Verdict::kBounded) line += " bounded";
  if (r.verdict == Verdict::kFound && r.as_expected) line += " found";
  line += fmt::format(" {} {:.2f}s {}", r.told_schedules(), r.seconds, r.name);
  if (r.verdict == Verdict::kBounded) line += fmt::format(" ({})", r.bound);
  if (!good) return line + ": " + judgement.why;
  return r.failure ? line + ": " + r.failure->rule : line;
}

std::string replay_of(const explore::Scenario& scenario, const Failure& failure,
                      const ExploreArguments& arguments) {
  const auto [name, design] = name_and_design(scenario.name);
  const std::string what = shell_word(scenario.file.empty() ? name : scenario.file);
  std::string text = "teeio explore " + what;
  if (!arguments.machine.empty())
    text += " --machine " + shell_word(arguments.machine);
  else if (!design.empty())
    text += " --design " + design;
  if (!arguments.seeded_bug.empty()) text += " --seeded-bug " + arguments.seeded_bug;
  return text + " --replay " + shell_word(schedule::to_text(failure.choices));
}

std::string answers_text(const ScenarioResult& result) {
  std::string text;
  for (const explore::CallAnswers& call : result.answers)
    if (!call.of_many &&
        ((call.explored && !(result.failure && call.answers.empty())) || call.answers.size() > 1))
      text += "  " + call.str() + '\n';
  return text;
}

std::string contention_text(const ScenarioResult& result) {
  if (result.verdict != ScenarioResult::Verdict::kBounded) return {};
  const std::string text = result.most_contended();
  return text.empty() ? text : "  most contended: " + text + '\n';
}

std::string expected_text(const Failure& failure, const std::string& replay) {
  return sentence(failure) + replay_line(replay);
}

std::string failure_text(const Failure& f, bool shrunk, const std::string& chart,
                         const std::string& replay) {
  if (f.what == explore::kMisfit) return sentence(f);  // no schedule, and nothing to replay
  return sentence(f) +
         fmt::format("  {}: {}, {}\n", shrunk ? "shortest schedule" : "schedule as it was found",
                     counted(f.switches, "preemption"), counted(f.failures, "failure")) +
         chart + replay_line(replay);
}

std::string failure_chart(const Failure& failure, bool whole, bool colour) {
  const std::deque<object::Event>& events = explore::kept_events();
  if (events.empty()) return failure.story;
  const auto first = std::ranges::find_if(events, [](const auto& e) { return e.task != 0; });
  const std::uint64_t from = whole || first == events.end() ? 0 : first->seq;
  const auto steps = marked(report::chart_steps(events), events, failure, from);
  return report::draw_chart(steps, {.colour = colour});
}

void Totals::add(const ScenarioResult& r, const explore::Judgement& judgement) {
  schedules += r.told_schedules();
  points += r.points;
  warnings += r.warnings.size();
  of_many.add(r.name, r.answers);
  if (judgement.kind == explore::Judgement::Kind::kFailed)
    ++failed;
  else if (r.verdict == Verdict::kFound)
    ++broken;
  else
    ++(r.verdict == Verdict::kBounded ? bounded : exhausted);
}

std::string Totals::never_succeeded_text(bool strict) const {
  std::string text;
  for (const std::string& call : of_many.never_succeeded())
    text += fmt::format("{}: {}\n", strict ? "error" : "warning", call);
  return text;
}

std::string Totals::text() const {
  const std::size_t told = warnings + of_many.never_succeeded().size();
  return fmt::format(
      "{}: {} exhausted, {} bounded,{} {} failed; {}, {:.1f} M points{}{}{}",
      counted(exhausted + bounded + broken + failed, "scenario"), exhausted, bounded,
      broken == 0 ? "" : fmt::format(" {} broken as expected,", broken), failed,
      counted(schedules, "schedule"), static_cast<double>(points) / 1e6,
      failures
          ? fmt::format("; at most {} a schedule, by --failures", counted(*failures, "failure"))
          : "",
      told == 0 ? "" : "; " + counted(told, "warning"),
      shard ? fmt::format("; shard {}/{} only, `teeio explore merge` proves the whole",
                          shard->index, shard->count)
            : "");
}

ProgressLine::ProgressLine(bool wanted) : shown_(wanted && is_able_terminal(STDERR_FILENO)) {}

void ProgressLine::show(const std::string& text) {
  if (!shown_) return;
  complain_text(fmt::format("\r\033[K{:.110}", visible(text)));
  (void)std::fflush(stderr);
  dirty_ = true;
}

void ProgressLine::clear() {
  if (!dirty_) return;
  complain_text("\r\033[K");
  (void)std::fflush(stderr);
  dirty_ = false;
}

}  // namespace teeio::cli
