// What a CI reads: which results will do, and the same as TAP and JUnit's XML.

#include "explore/jobs/reports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace teeio::explore {
namespace {

using testing::HasSubstr;
using Kind = Judgement::Kind;
using Verdict = ScenarioResult::Verdict;

ScenarioResult result_of(Verdict verdict) {
  ScenarioResult result;
  result.name = "a@tdx";
  result.verdict = verdict;
  result.schedules = 7;
  result.bound = verdict == Verdict::kBounded ? "7 schedules" : "";
  if (verdict == Verdict::kFound) result.failure = Failure{.rule = "R4", .what = "R4: a < \"b\""};
  result.judge();
  return result;
}
Reported reported(const ScenarioResult& result, const Demands& demands = {}) {
  return {.name = result.name,
          .result = &result,
          .judgement = judge(result, demands),
          .replay = result.failure ? "teeio explore 'a'" : ""};
}

TEST(Judge, BoundedIsGoodUnlessAProofIsDemanded) {
  const ScenarioResult bounded = result_of(Verdict::kBounded);
  EXPECT_EQ(judge(bounded, {}).kind, Kind::kGood);
  EXPECT_EQ(judge(bounded, {.exhausted = true}).kind, Kind::kNotExhausted);
  EXPECT_EQ(judge(result_of(Verdict::kExhausted), {.exhausted = true}).kind, Kind::kGood);
}

TEST(Judge, WarningIsAFailureOnlyWhereItIsStrict) {
  ScenarioResult result = result_of(Verdict::kExhausted);
  result.warnings = {"line 3: close never ran"};
  EXPECT_EQ(judge(result, {}).kind, Kind::kGood);
  EXPECT_EQ(judge(result, {.strict = true}).why, "1 warning");
}

TEST(Judge, WhatIsExpectedAndNotFoundFails) {
  ScenarioResult result = result_of(Verdict::kExhausted);
  result.expected.rules = {"R2", "R4"};
  result.judge();
  EXPECT_EQ(judge(result, {}).why, "expected R2 or R4");
  ScenarioResult found = result_of(Verdict::kFound);
  EXPECT_EQ(judge(found, {}).why, "R4");
  found.expected.rules = {"R2"};
  found.judge();
  EXPECT_EQ(judge(found, {}).why, "R4: expected R2");
  found.expected.rules = {"R4"};
  found.judge();
  EXPECT_EQ(judge(found, {.strict = true, .exhausted = true}).kind, Kind::kGood);
}

TEST(Tap, LineSaysOutcomeAndWhatIsWrong) {
  EXPECT_EQ(tap_line(3, reported(result_of(Verdict::kExhausted))),
            "ok 3 - a@tdx: exhausted, 7 schedules\n");
  const std::string failed = tap_line(1, reported(result_of(Verdict::kFound)));
  EXPECT_THAT(failed, testing::StartsWith("not ok 1 - a@tdx: broken: R4, 7 schedules\n  ---\n"));
  EXPECT_THAT(failed, HasSubstr("  replay: 'teeio explore ''a'''\n  ...\n"));
}

TEST(Junit, HasACaseForEachScenarioAlsoForOneThatDidNotEnd) {
  const ScenarioResult good = result_of(Verdict::kExhausted), bad = result_of(Verdict::kFound);
  const Reported missing{.name = "late@cca", .result = nullptr, .judgement = {}, .replay = {}};
  const std::string text = junit({reported(good), reported(bad), missing}, "SIGTERM");
  EXPECT_THAT(text, HasSubstr("tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\""));
  EXPECT_THAT(text, HasSubstr("<failure type=\"R4\""));
  EXPECT_THAT(text, HasSubstr("R4: a &lt; &quot;b&quot;"));
  EXPECT_THAT(text, HasSubstr("name=\"late@cca\""));
  EXPECT_THAT(text, HasSubstr("<skipped message=\"not explored: SIGTERM\"/>"));
}

}  // namespace
}  // namespace teeio::explore
