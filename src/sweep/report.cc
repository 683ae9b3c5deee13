#include "sweep/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "run/program_stack.h"

namespace teeio::sweep {
namespace {

using Counts = std::array<std::size_t, kVerdicts>;

/// Results of one name in one dimension, in the order of their first.
struct Cell {
  std::string name;
  Dimension dimension{};
  std::vector<const Result*> results;

  [[nodiscard]] Counts counts() const {
    Counts counts{};
    for (const Result* result : results) ++counts.at(std::to_underlying(result->judged.verdict));
    return counts;
  }
};

std::vector<Cell> cells_of(const std::vector<Result>& results) {
  std::vector<Cell> cells;
  std::map<std::pair<Dimension, std::string>, std::size_t> places;
  for (const Result& result : results) {
    const Dimension dimension = dimension_of(result.variation.injection);
    const std::string& name = result.variation.injection.name;
    const auto [at, is_new] = places.try_emplace({dimension, name}, cells.size());
    if (is_new) cells.push_back({name, dimension, {}});
    cells[at->second].results.push_back(&result);
  }
  std::ranges::stable_sort(cells, {}, &Cell::dimension);
  return cells;
}

std::size_t at(const Counts& counts, Verdict verdict) {
  return counts.at(std::to_underlying(verdict));
}

Counts totals_of(const std::vector<Result>& results) {
  Counts counts{};
  for (const Result& result : results) ++counts.at(std::to_underlying(result.judged.verdict));
  return counts;
}

std::string runs_text(std::size_t count) {
  return fmt::format("{} run{}", count, count == 1 ? "" : "s");
}

/// From the program's innermost frame on; what is below is the call's wrapper.
std::string stack_text(std::vector<std::string> stack) {
  constexpr std::size_t kMostFrames = 6;
  const std::string top = run::stack_top(stack);
  stack.erase(stack.begin(), std::ranges::find(stack, top));
  std::string text;
  for (std::size_t i = 0; i < std::min(stack.size(), kMostFrames); ++i)
    text += fmt::format("    {} {}\n", i == 0 ? "at" : "by", stack[i]);
  return text;
}

std::string finding_text(const Report& report, const Finding& finding) {
  constexpr std::size_t kMostSpecs = 6;
  const Result& smallest = *finding.results.front();
  std::string text =
      fmt::format("FINDING ({}): {}\n", runs_text(finding.results.size()), finding.complaint.what);
  if (!smallest.outcome.last_words.empty())
    text += fmt::format("    the program said: {}\n", smallest.outcome.last_words);
  text += fmt::format("    {}\n", replay_of(report, smallest.variation.injection));
  text += stack_text(finding.complaint.stack);
  for (std::size_t i = 1; i < std::min(finding.results.size(), kMostSpecs); ++i)
    text += fmt::format("    also {}\n", finding.results[i]->variation.injection.str());
  if (finding.results.size() > kMostSpecs)
    text += fmt::format("    and {} more\n", finding.results.size() - kMostSpecs);
  return text;
}

std::string statuses_text(const Report& report) {
  std::map<int, std::size_t> statuses;
  for (const Result& result : *report.results)
    if (result.judged.verdict == Verdict::kHandled) ++statuses[result.outcome.status];
  std::string text;
  for (const auto& [status, count] : statuses)
    text += fmt::format("exit status {} instead of {}: {}\n", status, report.first_status,
                        runs_text(count));
  return text;
}

std::string table_text(const Report& report) {
  std::string text =
      fmt::format("{:<40} {:<9} {:>6} {:>8} {:>8} {:>12}\n", "call, command or message",
                  "dimension", "ok", "handled", "finding", "not reached");
  for (const Cell& cell : cells_of(*report.results)) {
    const Counts counts = cell.counts();
    text += fmt::format("{:<40} {:<9} {:>6} {:>8} {:>8} {:>12}\n", cell.name,
                        dimension_name(cell.dimension), at(counts, Verdict::kOk),
                        at(counts, Verdict::kHandled), at(counts, Verdict::kFinding),
                        at(counts, Verdict::kNotReached));
  }
  return text;
}

std::string totals_text(const Report& report, std::size_t findings) {
  const Counts counts = totals_of(*report.results);
  std::string text = fmt::format("{}: {} ok, {} handled, {} with findings",
                                 runs_text(report.results->size()), at(counts, Verdict::kOk),
                                 at(counts, Verdict::kHandled), at(counts, Verdict::kFinding));
  if (const std::size_t count = at(counts, Verdict::kNotReached); count != 0)
    text += fmt::format(", {} in which what was to go wrong did not", count);
  text += fmt::format("; {} finding{}\n", findings, findings == 1 ? "" : "s");
  if (!report.interrupted.empty())
    text += fmt::format("stopped by {}: {} of {} runs were not made\n", report.interrupted,
                        report.wanted - report.results->size(), report.wanted);
  return text;
}

/// What a VMM cannot mend: a device's or a firmware's failure may cost what only a reset brings
/// back.
std::string others_text(const Report& report) {
  const auto of_others = std::ranges::count_if(*report.results, [](const Result& result) {
    const Dimension dimension = dimension_of(result.variation.injection);
    return result.judged.verdict == Verdict::kFinding &&
           (dimension == Dimension::kFirmware || dimension == Dimension::kDevice);
  });
  if (of_others == 0) return {};
  return fmt::format(
      "{} with findings by a firmware command or a device message that went wrong: "
      "docs/sweep.md says what of that no program can mend\n",
      runs_text(static_cast<std::size_t>(of_others)));
}

std::string testcase(const Report& report, const Cell& cell) {
  std::string bad, all;
  for (const Result* result : cell.results) {
    all += result_line(*result);
    if (result->judged.verdict != Verdict::kFinding) continue;
    bad += result_line(*result) + "  " + replay_of(report, result->variation.injection) + '\n';
  }
  const std::string inside =
      bad.empty() ? fmt::format("      <system-out>{}</system-out>\n", xml_text(all))
                  : fmt::format("      <failure message=\"{} of {}\">{}</failure>\n",
                                at(cell.counts(), Verdict::kFinding),
                                xml_text(runs_text(cell.results.size())), xml_text(bad));
  return fmt::format("    <testcase classname=\"teeio.sweep.{}\" name=\"{}\">\n{}    </testcase>\n",
                     dimension_name(cell.dimension), xml_text(cell.name), inside);
}

}  // namespace

std::string replay_of(const Report& report, const run::Injection& injection) {
  std::string text = "teeio run";
  for (const std::string& word : report.options) text += ' ' + shell_word(word);
  text += " --inject " + shell_word(injection.str()) + " --";
  for (const std::string& word : report.command) text += ' ' + shell_word(word);
  return text;
}

std::string summary(const Report& report) {
  const std::vector<Finding> findings = findings_of(*report.results);
  std::string text;
  for (const Finding& finding : findings) text += finding_text(report, finding);
  if (!findings.empty()) text += '\n';
  return text + table_text(report) + '\n' + statuses_text(report) +
         totals_text(report, findings.size()) + others_text(report);
}

std::string result_line(const Result& result) {
  std::string text = fmt::format("{} {}: exit {}", verdict_name(result.judged.verdict),
                                 result.variation.injection.str(), result.outcome.status);
  if (!result.outcome.last_words.empty()) text += ": " + result.outcome.last_words;
  text += '\n';
  for (const Complaint& complaint : result.judged.complaints)
    text += "    " + complaint.what + '\n';
  return text;
}

std::string junit(const Report& report) {
  std::string cases;
  std::size_t tests = 0, failures = 0;
  for (const Cell& cell : cells_of(*report.results)) {
    ++tests;
    failures += at(cell.counts(), Verdict::kFinding) == 0 ? 0U : 1U;
    cases += testcase(report, cell);
  }
  const std::string counts =
      fmt::format("tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"0\"", tests, failures);
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"teeio sweep\" {}>\n"
      "  <testsuite name=\"{}\" {}>\n{}  </testsuite>\n</testsuites>\n",
      counts, xml_text(fmt::format("teeio sweep {}", report.command.front())), counts, cases);
}

std::string json_text(const Report& report) {
  using nlohmann::json;
  json runs = json::array(), findings = json::array();
  for (const Result& result : *report.results) {
    json complaints = json::array();
    for (const Complaint& complaint : result.judged.complaints)
      complaints.push_back(complaint.what);
    runs.push_back({{"number", result.variation.number},
                    {"inject", result.variation.injection.str()},
                    {"verdict", verdict_name(result.judged.verdict)},
                    {"status", result.outcome.status},
                    {"said", result.outcome.last_words},
                    {"complaints", std::move(complaints)}});
  }
  for (const Finding& finding : findings_of(*report.results)) {
    json specs = json::array();
    for (const Result* result : finding.results) specs.push_back(result->variation.injection.str());
    findings.push_back({{"what", finding.complaint.what},
                        {"replay", replay_of(report, finding.results.front()->variation.injection)},
                        {"stack", finding.complaint.stack},
                        {"inject", std::move(specs)}});
  }
  const json all = {{"command", report.command},       {"status", report.first_status},
                    {"wanted", report.wanted},         {"interrupted", report.interrupted},
                    {"findings", std::move(findings)}, {"runs", std::move(runs)}};
  return all.dump(1, ' ', false, json::error_handler_t::replace) + '\n';
}

}  // namespace teeio::sweep
