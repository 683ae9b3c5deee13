#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "rules/verdict.h"

namespace teeio::rules {
namespace {

using Json = nlohmann::ordered_json;

Json lines(const std::vector<Evidence>& evidence) {
  Json out = Json::array();
  for (const Evidence& line : evidence) {
    Json one{{"text", line.text}};
    if (line.seq != 0) one["event"] = line.seq;
    out.push_back(std::move(one));
  }
  return out;
}

Json report(const Violation& violation, const Selection& selection) {
  const RuleText& rule = rule_text(violation.rule);
  Json out{{"rule", rule_name(violation.rule)},
           {"severity", severity_name(selection.of(violation.rule))},
           {"title", rule.title},
           {"sentence", violation.what}};
  if (violation.seq != 0) out["event"] = violation.seq;
  if (violation.function) out["function"] = violation.function->str();
  if (violation.origin.pid != 0) {
    out["process"] = violation.origin.pid;
    if (violation.origin.tid != 0) out["thread"] = violation.origin.tid;
    if (!violation.origin.call.empty()) out["call"] = violation.origin.call;
    if (violation.origin.fd >= 0) out["fd"] = violation.origin.fd;
  }
  out["stack"] = lines(violation.stack);
  out["events"] = lines(violation.events);
  out["source"] = rule.source;
  return out;
}

/// R5's violation without an event is what the census found: the leaks' test.
bool is_leak(const Violation& violation) {
  return violation.rule == RuleId::kR5 && violation.seq == 0 && violation.stack.empty();
}

struct Suite {
  std::size_t tests = 0, failures = 0, skipped = 0;
  std::string cases;

  void add(std::string_view name, std::string_view inside, bool failed, bool skips) {
    ++tests;
    failures += failed ? 1 : 0;
    skipped += skips ? 1 : 0;
    cases += fmt::format("    <testcase classname=\"teeio.run\" name=\"{}\">\n{}    </testcase>\n",
                         xml_text(name), inside);
  }
};

/// The test of one rule, or of the leaks: everything of `reports` in it.
void add_case(Suite& suite, const std::string& name, Severity severity,
              const std::vector<const Violation*>& reports) {
  if (severity == Severity::kOff)
    return suite.add(name, "      <skipped message=\"the rule is off\"/>\n", false, true);
  std::string inside;
  for (const Violation* violation : reports)
    inside += severity == Severity::kError
                  ? fmt::format("      <failure type=\"{}\" message=\"{}\">{}</failure>\n",
                                rule_name(violation->rule), xml_text(violation->what),
                                xml_text(violation_text(*violation)))
                  : fmt::format("      <system-out>{}</system-out>\n",
                                xml_text(violation_text(*violation)));
  suite.add(name, inside, severity == Severity::kError && !reports.empty(), false);
}

std::string words(const std::vector<std::string>& command) {
  std::string out;
  for (const std::string& word : command) out += (out.empty() ? "" : " ") + word;
  return out;
}

}  // namespace

std::string ending_json(const Ending& ending) {
  const Selection& selection = ending.verdict.selection();
  Json severities = Json::object();
  for (std::size_t i = 1; i <= kRuleCount; ++i) {
    const auto rule = static_cast<RuleId>(i);
    severities[rule_name(rule)] = severity_name(selection.of(rule));
  }
  Json reports = Json::array(), leaks = Json::array(), suppressions = Json::array();
  for (const Violation& violation : ending.violations)
    reports.push_back(report(violation, selection));
  for (const Census::Difference& d : ending.differences)
    leaks.push_back({{"key", d.key}, {"boot", d.boot}, {"end", d.end}});
  for (const Suppression& entry : ending.verdict.suppressions().all())
    suppressions.push_back(
        {{"name", entry.name}, {"place", entry.place}, {"note", entry.note}, {"used", entry.used}});
  const Json whole{{"command", ending.command},    {"machine", ending.machine},
                   {"status", ending.status},      {"exit", ending.exit},
                   {"summary", last_line(ending)}, {"rules", severities},
                   {"reports", reports},           {"leaks", leaks},
                   {"suppressions", suppressions}};
  return whole.dump(1, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::string ending_junit(const Ending& ending) {
  const Selection& selection = ending.verdict.selection();
  Suite suite;
  const auto those = [&](auto wanted) {
    std::vector<const Violation*> out;
    for (const Violation& violation : ending.violations)
      if (wanted(violation)) out.push_back(&violation);
    return out;
  };
  for (std::size_t i = 1; i <= kRuleCount; ++i) {
    const auto rule = static_cast<RuleId>(i);
    add_case(suite, fmt::format("{} {}", rule_name(rule), rule_text(rule).sentence),
             selection.of(rule),
             those([rule](const Violation& v) { return v.rule == rule && !is_leak(v); }));
  }
  add_case(suite, "leaks: the machine is as it was at boot", selection.of(RuleId::kR5),
           those(is_leak));
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuites>\n"
      "  <testsuite name=\"teeio run\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\">\n"
      "    <properties>\n"
      "      <property name=\"command\" value=\"{}\"/>\n"
      "      <property name=\"machine\" value=\"{}\"/>\n"
      "      <property name=\"status\" value=\"{}\"/>\n"
      "      <property name=\"exit\" value=\"{}\"/>\n"
      "    </properties>\n{}"
      "    <system-out>{}</system-out>\n"
      "  </testsuite>\n</testsuites>\n",
      suite.tests, suite.failures, suite.skipped, xml_text(words(ending.command)),
      xml_text(ending.machine), ending.status, ending.exit, suite.cases,
      xml_text(last_line(ending)));
}

}  // namespace teeio::rules
