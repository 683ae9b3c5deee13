#include "rules/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace teeio::rules {
namespace {

using testing::HasSubstr;

constexpr Bdf kFunction{.domain = 0, .bus = 1, .device = 0, .function = 0};

Violation violation(RuleId rule, std::uint64_t seq, std::string what = "0000:01:00.0: reset") {
  Violation v;
  v.rule = rule;
  v.seq = seq;
  v.function = kFunction;
  v.what = std::move(what);
  return v;
}

Selection selection(std::string_view text) {
  const auto parsed = Selection::parse(text);
  EXPECT_TRUE(parsed) << parsed.error();
  return parsed.value_or(Selection());
}

Suppressions suppressions(std::string_view text) {
  Suppressions out;
  const auto added = out.add(text, "k.supp");
  EXPECT_TRUE(added) << added.error();
  return out;
}

std::string problem(std::string_view text) {
  Suppressions out;
  const auto added = out.add(text, "k.supp");
  return added ? "" : added.error();
}

TEST(SelectionTest, OneRuleDiffersFromTheOthers) {
  const Selection rules = selection("R4=warn,R2=off");
  EXPECT_EQ(rules.of(RuleId::kR4), Severity::kWarn);
  EXPECT_EQ(rules.of(RuleId::kR2), Severity::kOff);
  EXPECT_EQ(rules.of(RuleId::kR10), Severity::kError);
}

TEST(SelectionTest, ALaterPartWins) {
  const Selection rules = selection("R4=off,warn,r10=error");
  EXPECT_EQ(rules.of(RuleId::kR4), Severity::kWarn);
  EXPECT_EQ(rules.of(RuleId::kR10), Severity::kError);
  EXPECT_FALSE(rules.all_off());
  EXPECT_TRUE(selection("off").all_off());
}

TEST(SelectionTest, WhatIsNoRuleOrSeverityIsNamed) {
  for (const std::string_view part : {"R0=warn", "R11=off", "R4=loud", "quiet", "", "R4", "R=off",
                                      "R4x=off", "4=off", "R-1=off", "R4294967300=off"}) {
    const auto parsed = Selection::parse(std::string("warn,").append(part));
    ASSERT_FALSE(parsed) << part;
    EXPECT_THAT(parsed.error(), HasSubstr("'" + std::string(part) + "'"));
  }
}

TEST(SuppressionsTest, AnEntryCoversWhatAllItsLinesMatch) {
  Suppressions known = suppressions(
      "# ours\n{\n  known\n  rule: R4\n  function: 0000:01:*\n  sentence: *reset*\n"
      "  note: issue 7\n}\n");
  EXPECT_TRUE(known.covers(violation(RuleId::kR4, 1)));
  EXPECT_FALSE(known.covers(violation(RuleId::kR2, 1)));
  EXPECT_FALSE(known.covers(violation(RuleId::kR4, 1, "0000:01:00.0: mapped")));
  Violation elsewhere = violation(RuleId::kR4, 1);
  elsewhere.function = Bdf{.domain = 0, .bus = 2, .device = 0, .function = 0};
  EXPECT_FALSE(known.covers(elsewhere));
  elsewhere.function.reset();
  EXPECT_FALSE(known.covers(elsewhere)) << "about no function";
  EXPECT_EQ(known.used(), 1U);
  EXPECT_EQ(unused_text(known), "");
}

TEST(SuppressionsTest, AnUnusedEntryIsReportedWithItsPlace) {
  EXPECT_EQ(unused_text(suppressions("{\n old\n rule: R1\n}\n")),
            "teeio: k.supp:1: the suppression 'old' was not used\n");
}

TEST(SuppressionsTest, AFileThatIsNoneSaysWhere) {
  EXPECT_THAT(problem("known\n"), HasSubstr("k.supp:1: an entry starts with"));
  EXPECT_THAT(problem("{\n}\n"), HasSubstr("k.supp:2: the entry has no name"));
  EXPECT_THAT(problem("{\n a\n rule: R99\n}\n"), HasSubstr("k.supp:3: there is no rule 'R99'"));
  EXPECT_THAT(problem("{\n a\n fun: x\n}\n"), HasSubstr("k.supp:3: an entry has no 'fun'"));
  EXPECT_THAT(problem("{\n a\n rule\n}\n"), HasSubstr("k.supp:3: 'rule' is no line"));
  EXPECT_THAT(problem("{\n a\n"), HasSubstr("k.supp:2: the last entry has no '}'"));
  EXPECT_THAT(problem("{\n a\n rule: R4\n rule: R2\n}\n"),
              HasSubstr("k.supp:4: the entry has a 'rule' already"));
}

TEST(SuppressionsTest, AnEntryThatWouldCoverEverythingIsWrong) {
  EXPECT_THAT(problem("{\n a\n}\n"), HasSubstr("k.supp:3: the entry 'a' would cover every report"));
  EXPECT_THAT(problem("{\n a\n note: later\n}\n"), HasSubstr("k.supp:4: the entry 'a' would"));
  // The name was forgotten.
  EXPECT_THAT(problem("{\n rule: R4\n}\n"), HasSubstr("the entry 'rule: R4' would"));
  EXPECT_TRUE(suppressions("{\n all\n sentence: *\n}\n").covers(violation(RuleId::kR4, 1)));
}

class EndingTest : public testing::Test {
 protected:
  Ending ending(const Verdict& verdict, int exit) {
    return {.verdict = verdict,
            .violations = violations,
            .differences = differences,
            .settings_changed = settings_changed,
            .command = {"vmm", "<a&b>"},
            .machine = "m",
            .status = 0,
            .exit = exit};
  }
  std::vector<Violation> violations;
  std::vector<Census::Difference> differences;
  bool settings_changed = false;
};

TEST_F(EndingTest, TheLastLineCountsRulesInTheOrderInWhichTheyBroke) {
  const Verdict verdict(selection("error"), {});
  for (const RuleId rule : {RuleId::kR4, RuleId::kR2, RuleId::kR4, RuleId::kR2})
    violations.push_back(violation(rule, 776 + violations.size()));
  EXPECT_TRUE(verdict.is_broken(violations));
  EXPECT_EQ(last_line(ending(verdict, 99)),
            "teeio: 4 reports: R4 ×2, R2 ×2, first at event 776; exit 99");
}

TEST_F(EndingTest, AWarningIsCountedApartAndFailsNothing) {
  const Verdict verdict(selection("R4=warn"), {});
  violations.push_back(violation(RuleId::kR4, 5));
  EXPECT_FALSE(verdict.is_broken(violations));
  EXPECT_EQ(last_line(ending(verdict, 0)), "teeio: 1 warning: R4, first at event 5; exit 0");
  violations.push_back(violation(RuleId::kR5, 0));
  EXPECT_EQ(last_line(ending(verdict, 99)),
            "teeio: 1 report: R5, at the end; 1 warning: R4, first at event 5; exit 99");
}

TEST_F(EndingTest, WithoutAReportTheMachineIsTheNews) {
  const Verdict verdict(selection("error"), {});
  EXPECT_EQ(last_line(ending(verdict, 3)), "teeio: the machine is as it was at boot; exit 3");
  settings_changed = true;
  EXPECT_EQ(last_line(ending(verdict, 0)),
            "teeio: the machine is as it was at boot, but for what the program set or removed; "
            "exit 0");
  differences.push_back({"hkids in use", "0", "1"});
  EXPECT_EQ(last_line(ending(verdict, 0)),
            "teeio: the machine differs from its state at boot; exit 0");
}

TEST_F(EndingTest, WhatIsOffOrSuppressedIsNotAdmittedAndTheLatterCounted) {
  Verdict verdict(selection("R2=off"), suppressions("{\n known\n rule: R4\n}\n"));
  EXPECT_FALSE(verdict.admits(violation(RuleId::kR2, 1)));
  EXPECT_FALSE(verdict.admits(violation(RuleId::kR4, 2)));
  EXPECT_TRUE(verdict.admits(violation(RuleId::kR1, 3)));
  EXPECT_EQ(last_line(ending(verdict, 0)),
            "teeio: the machine is as it was at boot; 1 suppressed; exit 0");
}

TEST_F(EndingTest, JsonHasEveryReportWithItsEvents) {
  const Verdict verdict(selection("R4=warn"), {});
  violations.push_back(violation(RuleId::kR4, 5));
  violations.back().events.push_back({5, "VFIO: reset \xff"});
  const auto json = nlohmann::json::parse(ending_json(ending(verdict, 0)));
  EXPECT_EQ(json["exit"], 0);
  EXPECT_EQ(json["rules"]["R4"], "warn");
  EXPECT_EQ(json["reports"][0]["rule"], "R4");
  EXPECT_EQ(json["reports"][0]["event"], 5);
  EXPECT_EQ(json["reports"][0]["function"], "0000:01:00.0");
  EXPECT_EQ(json["reports"][0]["events"][0]["event"], 5);
}

TEST_F(EndingTest, JunitHasATestForEachRuleAndOneForLeaks) {
  const Verdict verdict(selection("R2=off"), {});
  violations.push_back(violation(RuleId::kR4, 5, "a <b> & \"c\" \x01"));
  Violation leak = violation(RuleId::kR5, 0, "the machine is not as it was at boot");
  leak.function.reset();
  violations.push_back(leak);
  const std::string xml = ending_junit(ending(verdict, 99));
  EXPECT_THAT(xml, HasSubstr("tests=\"11\" failures=\"2\" errors=\"0\" skipped=\"1\""));
  EXPECT_THAT(xml, HasSubstr("message=\"a &lt;b&gt; &amp; &quot;c&quot; ?\""));
  EXPECT_THAT(xml, HasSubstr("value=\"vmm &lt;a&amp;b&gt;\""));
  const std::size_t r5 = xml.find("name=\"R5 "), r6 = xml.find("name=\"R6 ");
  EXPECT_EQ(xml.substr(r5, r6 - r5).find("<failure"), std::string::npos) << "it is a leak";
}

}  // namespace
}  // namespace teeio::rules
