// Every seeded bug is found, with a schedule that shows it again, and the same
// scenarios find nothing in the code as it is.

#include "explore/scenario/seeded.h"

#include <gtest/gtest.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

#include <cctype>
#include <set>
#include <string>

#include "explore/scenario/seeded_bugs.h"
#include "explore/shrink.h"
#include "schedule/plant_bug.h"

namespace teeio::explore {
namespace {

std::string name_of(const testing::TestParamInfo<SeededScenario>& info) {
  std::string name;
  bool upper = true;
  for (const char c : seeded_bug_info(info.param.bug).name) {
    if (c != '-') name += upper ? static_cast<char>(std::toupper(c)) : c;
    upper = c == '-';
  }
  return name;
}

/// For a bug that is a leak: LeakSanitizer finds it too, and is not to fail the test.
class LeaksExpected {
 public:
  explicit LeaksExpected([[maybe_unused]] bool expected) {
#if defined(__SANITIZE_ADDRESS__)
    expected_ = expected;
    if (expected_) __lsan_disable();
#endif
  }
  ~LeaksExpected() {
#if defined(__SANITIZE_ADDRESS__)
    if (expected_) __lsan_enable();
#endif
  }
  LeaksExpected(const LeaksExpected&) = delete;
  LeaksExpected& operator=(const LeaksExpected&) = delete;

 private:
#if defined(__SANITIZE_ADDRESS__)
  bool expected_;
#endif
};

class Seeded : public testing::TestWithParam<SeededScenario> {};

TEST_P(Seeded, BugIsFoundAndItsScheduleShowsItAgain) {
  const SeededScenario& seeded = GetParam();
  const LeaksExpected leaks(seeded.bug == "kvm-vfio-cycle");
  const SeededResult result = find_seeded(seeded, Compare::kYes, 0);
  ASSERT_TRUE(result.found.failure.has_value())
      << "not found in " << result.found.schedules << " schedules, " << result.found.bound;
  const Failure& failure = *result.found.failure;
  EXPECT_TRUE(result.found.as_expected) << failure.rule << ": " << failure.what;
  const schedule::PlantedBug planted(seeded.bug);
  const auto again = replay(seeded_scenario(seeded), failure.choices);
  ASSERT_TRUE(again.has_value()) << "the schedule shows nothing the second time";
  EXPECT_EQ(again->what, failure.what);
  // What poorer strategies find as well does not count, unless the table says why.
  EXPECT_EQ(seeded.easy_because.empty(), !result.first_finds && !result.random_finds)
      << "first " << result.first_finds << ", random " << result.random_finds.value_or(0);
}

TEST_P(Seeded, ScenarioFindsNothingInTheCodeAsItIs) {
  Options options;
  options.strategy = GetParam().strategy;
  options.max_schedules = 300;
  options.seconds = 1;
  const ScenarioResult result = run_scenario(seeded_scenario(GetParam()), options);
  EXPECT_TRUE(result.as_expected) << result.failure->rule << ": " << result.failure->what << "\n"
                                  << result.failure->story;
}

INSTANTIATE_TEST_SUITE_P(All, Seeded,
                         testing::ValuesIn(seeded_scenarios().begin(), seeded_scenarios().end()),
                         name_of);

TEST(SeededBugs, HaveANameOfTheirOwnThatIsReadBack) {
  std::set<std::string_view> names;
  for (const SeededBugInfo& info : seeded_bugs()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(parse_seeded_bug(info.name), info.bug());
  }
  EXPECT_GE(names.size(), 20U);
  EXPECT_FALSE(parse_seeded_bug("no-such-bug").has_value());
  EXPECT_FALSE(parse_seeded_bug("").has_value());
}

TEST(SeededScenarios, AreOneForEachSeededBugInTheirOrder) {
  const auto bugs = seeded_bugs();
  ASSERT_EQ(seeded_scenarios().size(), bugs.size());
  for (std::size_t i = 0; i < bugs.size(); ++i) EXPECT_EQ(seeded_scenarios()[i].bug, bugs[i].bug());
}

}  // namespace
}  // namespace teeio::explore
