#include "explore/jobs/reports.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace teeio::explore {
namespace {

using Kind = Judgement::Kind;
using Verdict = ScenarioResult::Verdict;

/// Lines of what else is known: a finding, answers, warnings.
std::vector<std::string> details(const Reported& reported) {
  std::vector<std::string> lines;
  const ScenarioResult& r = *reported.result;
  if (r.failure) lines.push_back(r.failure->what);
  if (!reported.replay.empty()) lines.push_back("replay: " + reported.replay);
  for (const CallAnswers& call : r.answers)
    if (call.explored && !call.answers.empty()) lines.push_back(call.str());
  for (const std::string& warning : r.warnings) lines.push_back("warning: " + warning);
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return text;
}

std::string testcase(const Reported& reported, const std::string& interrupted) {
  std::string inside;
  double seconds = 0;
  if (reported.result == nullptr) {
    inside = fmt::format("      <skipped message=\"not explored: {}\"/>\n", xml_text(interrupted));
  } else {
    seconds = reported.result->seconds;
    const std::string text = xml_text(joined(details(reported)));
    if (reported.judgement.kind != Kind::kGood)
      inside = fmt::format("      <failure type=\"{}\" message=\"{}: {}\">{}</failure>\n",
                           xml_text(reported.judgement.why), xml_text(reported.judgement.why),
                           xml_text(outcome(*reported.result)), text);
    else
      inside = fmt::format("      <system-out>{}\n{}</system-out>\n",
                           xml_text(outcome(*reported.result)), text);
  }
  return fmt::format(
      "    <testcase classname=\"teeio.explore\" name=\"{}\" time=\"{:.3f}\">\n{}    "
      "</testcase>\n",
      xml_text(reported.name), seconds, inside);
}

}  // namespace

std::string outcome(const ScenarioResult& r) {
  switch (r.verdict) {
    case Verdict::kExhausted:
      return "exhausted, " + counted(r.told_schedules(), "schedule");
    case Verdict::kBounded:
      return fmt::format("bounded, {} ({})", counted(r.told_schedules(), "schedule"), r.bound);
    case Verdict::kFound:
      return fmt::format("broken{}: {}, {}", r.as_expected ? " as expected" : "",
                         r.failure ? r.failure->rule : "", counted(r.told_schedules(), "schedule"));
  }
  return {};
}

std::string tap_head(std::size_t scenarios) {
  return fmt::format("TAP version 13\n1..{}\n", scenarios);
}

std::string tap_line(std::size_t number, const Reported& reported) {
  const bool good = reported.judgement.kind == Kind::kGood;
  std::string text = fmt::format("{} {} - {}: {}\n", good ? "ok" : "not ok", number, reported.name,
                                 outcome(*reported.result));
  if (!good) {
    text += fmt::format("  ---\n  message: {}\n", yaml_text(reported.judgement.why));
    if (const auto& failure = reported.result->failure; failure) {
      text += fmt::format("  finding: {}\n", yaml_text(failure->what));
      text +=
          fmt::format("  preemptions: {}\n  failures: {}\n", failure->switches, failure->failures);
    }
    if (!reported.replay.empty()) text += fmt::format("  replay: {}\n", yaml_text(reported.replay));
    text += "  ...\n";
  }
  for (std::string line : details(reported)) {
    std::ranges::replace(line, '\n', ' ');
    text += "# " + line + '\n';
  }
  return text;
}

std::string junit(const std::vector<Reported>& all, const std::string& interrupted) {
  std::size_t failures = 0, skipped = 0;
  double seconds = 0;
  std::string cases;
  for (const Reported& reported : all) {
    cases += testcase(reported, interrupted);
    if (reported.result == nullptr) {
      ++skipped;
      continue;
    }
    failures += reported.judgement.kind == Kind::kGood ? 0 : 1;
    seconds += reported.result->seconds;
  }
  const std::string counts =
      fmt::format("tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3f}\"",
                  all.size(), failures, skipped, seconds);
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"teeio explore\" {}>\n"
      "  <testsuite name=\"teeio explore\" {}>\n{}  </testsuite>\n</testsuites>\n",
      counts, counts, cases);
}

}  // namespace teeio::explore
