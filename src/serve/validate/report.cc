#include "serve/validate/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace teeio::serve::validate {
namespace {

using Kind = Verdict::Kind;

constexpr std::string_view kGreen = "\x1b[32m";
constexpr std::string_view kRed = "\x1b[31m";
constexpr std::string_view kYellow = "\x1b[33m";
constexpr std::string_view kNoColour = "\x1b[0m";

std::string_view colour_of(Kind kind) {
  switch (kind) {
    case Kind::kPass:
      return kGreen;
    case Kind::kFail:
      return kRed;
    case Kind::kSkip:
      return kYellow;
  }
  return kNoColour;
}

/// Where a capture has the case; empty: nowhere.
std::string packets(const CaseResult& result) {
  return result.first_packet == 0
             ? std::string()
             : fmt::format("  packets: '{}-{}'\n", result.first_packet, result.last_packet);
}

double seconds(std::uint64_t us) { return static_cast<double>(us) / 1e6; }

std::string testcase(const CaseResult& result) {
  const PlannedCase& planned = result.planned;
  std::string inside;
  if (result.verdict.kind == Kind::kFail)
    inside = fmt::format(
        "      <failure message=\"{}\">expected: {} ({}){}</failure>\n",
        xml_text(result.verdict.why), xml_text(planned.row.claim), xml_text(planned.row.clause),
        xml_text(result.first_packet == 0
                     ? std::string()
                     : fmt::format("; packets {}-{}", result.first_packet, result.last_packet)));
  if (result.verdict.kind == Kind::kSkip)
    inside = fmt::format("      <skipped message=\"{}\"/>\n", xml_text(result.verdict.why));
  if (!result.verdict.remark.empty())
    inside = fmt::format("      <system-out>{}</system-out>\n", xml_text(result.verdict.remark));
  return fmt::format(
      "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.6f}\">\n{}    </testcase>\n",
      xml_text(planned.suite), xml_text(planned.id), seconds(result.time_us), inside);
}

}  // namespace

std::string tap_head(std::size_t cases) { return fmt::format("TAP version 13\n1..{}\n", cases); }

std::string tap_line(std::size_t number, const CaseResult& result, bool colour) {
  const Kind kind = result.verdict.kind;
  const std::string_view word = kind == Kind::kFail ? "not ok" : "ok";
  std::string line =
      fmt::format("{}{}{} {} - {}: {}", colour ? colour_of(kind) : "", word,
                  colour ? kNoColour : "", number, result.planned.id, result.planned.row.claim);
  if (kind == Kind::kSkip) line += fmt::format(" # SKIP {}", result.verdict.why);
  line += '\n';
  if (!result.verdict.remark.empty()) line += fmt::format("# remark: {}\n", result.verdict.remark);
  if (kind == Kind::kFail)
    line += fmt::format("  ---\n  message: {}\n  expected: {}\n  clause: {}\n{}  ...\n",
                        yaml_text(result.verdict.why), yaml_text(result.planned.row.claim),
                        yaml_text(result.planned.row.clause), packets(result));
  return line;
}

Totals totals(const std::vector<CaseResult>& results) {
  const auto count = [&](Kind kind) {
    return static_cast<std::size_t>(std::ranges::count_if(
        results, [kind](const CaseResult& result) { return result.verdict.kind == kind; }));
  };
  return {count(Kind::kPass), count(Kind::kFail), count(Kind::kSkip)};
}

std::string junit(const std::vector<CaseResult>& results, const std::string& target) {
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  const Totals all = totals(results);
  out += fmt::format(
      "<testsuites name=\"teeio validate {}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">\n",
      xml_text(target), results.size(), all.failed, all.skipped);
  for (auto at = results.begin(); at != results.end();) {
    const auto end = std::find_if(at, results.end(), [&](const CaseResult& result) {
      return result.planned.suite != at->planned.suite;
    });
    const Totals some = totals({at, end});
    out += fmt::format("  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">\n",
                       xml_text(at->planned.suite), end - at, some.failed, some.skipped);
    for (; at != end; ++at) out += testcase(*at);
    out += "  </testsuite>\n";
  }
  return out + "</testsuites>\n";
}

}  // namespace teeio::serve::validate
