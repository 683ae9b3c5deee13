// Scenarios that users write: what is read, what is refused and where, and that a
// wrong expectation is found.

#include "explore/scenario/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "explore/run.h"
#include "explore/scenario/catalogue.h"

namespace teeio::explore {
namespace {

using testing::HasSubstr;

constexpr std::string_view kSmall = R"(# a comment
scenario small
about a VM that is made twice
setup
  kvm = open /dev/kvm
thread first
  vm = KVM_CREATE_VM kvm type=ordinary -> ok
  close vm
thread second
  KVM_CREATE_VM kvm type=ordinary -> ok EBUSY
finish
  close kvm
)";

std::string refusal_of(std::string_view text) {
  const auto parsed = parse_text_scenario(text, "f.scenario");
  return parsed ? "accepted" : parsed.error();
}
/// kSmall with one piece replaced.
std::string refusal_with(std::string_view from, std::string_view to) {
  std::string text(kSmall);
  const std::size_t at = text.find(from);
  if (at == std::string::npos) return "no such piece";
  return refusal_of(text.replace(at, from.size(), to));
}

TEST(TextScenario, IsReadWithItsThreadsAndExpectations) {
  const auto scenario = parse_text_scenario(kSmall, "f");
  ASSERT_TRUE(scenario.has_value()) << scenario.error();
  EXPECT_EQ(scenario->name, "small");
  EXPECT_EQ(scenario->description, "a VM that is made twice");
  ASSERT_EQ(scenario->threads.size(), 2U);
  EXPECT_EQ(scenario->threads[1].name, "second");
  ASSERT_EQ(scenario->threads[1].steps.size(), 1U);
  EXPECT_EQ(scenario->threads[1].steps[0].expected, (std::vector<std::string>{"ok", "EBUSY"}));
  EXPECT_EQ(scenario->threads[1].steps[0].line, 10U);
  EXPECT_TRUE(scenario->connected);
}

TEST(TextScenario, RefusalNamesLineAndColumnAndWhatIsAllowed) {
  EXPECT_EQ(refusal_with("open /dev/kvm", "opne /dev/kvm"),
            "f.scenario:5:9: there is no call `opne`; is it open?");
  EXPECT_EQ(refusal_with("kvm type=ordinary -> ok\n", "kvm type=big -> ok\n"),
            "f.scenario:7:31: type is one of confidential, tdx, realm, ordinary");
  EXPECT_EQ(refusal_with("close vm", "close wm"),
            "f.scenario:8:9: nothing is named `wm` before this line; there are kvm, vm");
  EXPECT_EQ(refusal_with("-> ok EBUSY", "-> ok EBUZY"),
            "f.scenario:10:41: `EBUZY` is no answer; allowed are ok and errnos such as EBUSY");
  EXPECT_EQ(refusal_with("thread second", "thread first"),
            "f.scenario:9:8: there is a thread `first` already");
}

TEST(TextScenario, SettingIsCheckedByTheMachineFilesOwnWords) {
  EXPECT_EQ(refusal_with("setup\n", "set close_order = never\nsetup\n"),
            "f.scenario:4:19: close_order must be one of \"unbind-first\", \"mainline\"");
  EXPECT_THAT(refusal_with("setup\n", "set colour = red\nsetup\n"),
              HasSubstr("f.scenario:4:5: there is no setting `colour`; allowed are bind_owner"));
}

TEST(TextScenario, NameOfAnotherThreadIsRefused) {
  EXPECT_THAT(refusal_with("KVM_CREATE_VM kvm type=ordinary -> ok EBUSY", "close vm"),
              HasSubstr("`vm` is made by another thread"));
}

TEST(TextScenario, DescriptorOfAnotherProcessIsRefused) {
  EXPECT_THAT(refusal_with("thread second", "thread second in other"),
              HasSubstr("the descriptor `kvm` is another process's"));
}

TEST(TextScenario, IdIsNoDescriptor) {
  EXPECT_EQ(refusal_of("scenario a\nsetup\n  i = open /dev/iommu\n  o = IOMMU_IOAS_ALLOC i\n"
                       "thread t\n  close o\n"),
            "f.scenario:6:9: `o` is an id, and a descriptor is needed");
}

TEST(TextScenario, MissingPiecesAreNamed) {
  EXPECT_EQ(refusal_of(""), "f.scenario:1:1: the file begins with `scenario NAME`");
  EXPECT_THAT(refusal_of("scenario a\n"), HasSubstr("at least one `thread NAME`"));
  EXPECT_THAT(refusal_of("scenario a\nthread t\nfinish\n"),
              HasSubstr("the thread `t` makes no call"));
  EXPECT_THAT(refusal_of("scenario a\nthread\n"), HasSubstr(":2:7: the thread's name is missing"));
  EXPECT_THAT(refusal_with(" -> ok EBUSY", " ->"), HasSubstr("an answer is missing"));
  EXPECT_THAT(refusal_with("type=ordinary -> ok\n", "type -> ok\n"), HasSubstr("needs a value"));
  EXPECT_THAT(refusal_with("open /dev/kvm", "open \"/dev/kvm"), HasSubstr("not closed"));
}

TEST(TextScenario, PartsHaveAnOrder) {
  EXPECT_THAT(refusal_of("scenario a\nthread t\nsetup\n"), HasSubstr(":3:1: the order is"));
  EXPECT_THAT(refusal_of("scenario a\nthread t\nabout x\n"), HasSubstr("before the first setup"));
}

ScenarioResult run_text(std::string_view text) {
  const auto scenario = parse_text_scenario(text, "f");
  EXPECT_TRUE(scenario.has_value()) << scenario.error();
  return run_scenario(make_scenario(*scenario, default_designs().front()), {});
}
/// kSmall with further lines in its head.
ScenarioResult run_with_head(std::string_view head, std::string_view body = kSmall) {
  std::string text(body);
  return run_text(text.insert(text.find("setup"), head));
}

TEST(TextScenario, ThatHoldsIsExhausted) {
  const ScenarioResult result = run_text(kSmall);
  EXPECT_EQ(result.name, "small@tdx");
  EXPECT_EQ(result.verdict, ScenarioResult::Verdict::kExhausted)
      << (result.failure ? result.failure->what : "");
}

TEST(TextScenario, WrongExpectationIsFoundWithItsLine) {
  std::string text(kSmall);
  text.replace(text.find("-> ok EBUSY"), 11, "-> EBUSY");
  const ScenarioResult result = run_text(text);
  ASSERT_TRUE(result.failure.has_value());
  EXPECT_THAT(result.failure->what, HasSubstr("line 10: KVM_CREATE_VM answered ok, not EBUSY"));
}

constexpr std::string_view kCloserAndUser =
    "scenario a\nsetup\n  kvm = open /dev/kvm\nthread closer\n  close kvm\n"
    "thread user\n  KVM_CREATE_VM kvm type=ordinary -> ok\n";

TEST(TextScenario, ThatSaysHowItBreaksHoldsOnlyIfItBreaksSo) {
  const ScenarioResult broken = run_with_head("expect check \"EBADF, not ok\"\n", kCloserAndUser);
  EXPECT_EQ(broken.verdict, ScenarioResult::Verdict::kFound);
  EXPECT_TRUE(broken.as_expected);
  EXPECT_TRUE(run_with_head("expect R4 check\n", kCloserAndUser).as_expected);
  EXPECT_FALSE(run_with_head("expect R4 deadlock\n", kCloserAndUser).as_expected);
  EXPECT_FALSE(run_with_head("expect check \"EBUSY\"\n", kCloserAndUser).as_expected);
  const ScenarioResult holds = run_with_head("expect lost-wake-up\n");
  EXPECT_EQ(holds.verdict, ScenarioResult::Verdict::kExhausted);
  EXPECT_FALSE(holds.as_expected);
}

TEST(TextScenario, RuleThatIsExpectedIsNoOtherWhoseNumberBeginsLikeIt) {
  const Expectation expectation{.rules = {"R1"}};
  EXPECT_TRUE(expectation.names("R1", "R1: a page"));
  EXPECT_FALSE(expectation.names("R10", "R10: R1: a page"));
}

TEST(TextScenario, ScheduleOfTheFileIsRunFirst) {
  const ScenarioResult found = run_text(kCloserAndUser);
  ASSERT_TRUE(found.failure.has_value());
  const std::string line = "replay \"" + schedule::to_text(found.failure->choices) + "\" tdx\n";
  const ScenarioResult again = run_with_head("expect check\n" + line, kCloserAndUser);
  EXPECT_TRUE(again.as_expected);
  EXPECT_EQ(again.schedules, 1U);
  EXPECT_TRUE(again.warnings.empty());
}

TEST(TextScenario, ScheduleThatDoesNotFitIsToldAndAllOrdersAreRun) {
  const ScenarioResult result = run_with_head("replay \"9*3\"\n");
  EXPECT_EQ(result.verdict, ScenarioResult::Verdict::kExhausted);
  EXPECT_THAT(result.warnings,
              testing::ElementsAre(HasSubstr("line 4: the schedule does not fit")));
  EXPECT_TRUE(run_with_head("replay \"9*3\" cca\n").warnings.empty());
}

TEST(TextScenario, WhatIsExpectedAndReplayedIsChecked) {
  EXPECT_THAT(refusal_with("setup\n", "expect R11\nsetup\n"),
              HasSubstr("f.scenario:4:8: `R11` is no finding; allowed are R1 to R10, deadlock"));
  EXPECT_THAT(refusal_with("setup\n", "expect\nsetup\n"), HasSubstr(":4:7: a finding is missing"));
  EXPECT_THAT(refusal_with("setup\n", "expect R1\nexpect R2\nsetup\n"), HasSubstr(":5:1:"));
  EXPECT_THAT(refusal_with("setup\n", "expect R1 \"x\" R2\nsetup\n"), HasSubstr(":4:15:"));
  EXPECT_THAT(refusal_with("setup\n", "expect \"\"\nsetup\n"), HasSubstr(":4:8:"));
  EXPECT_THAT(refusal_with("setup\n", "replay\nsetup\n"), HasSubstr("choices are missing"));
  EXPECT_THAT(refusal_with("setup\n", "replay x\nsetup\n"), HasSubstr(":4:8: a choice is not"));
  EXPECT_THAT(refusal_with("setup\n", "replay 0 amd\nsetup\n"), HasSubstr("`amd` is no firmware"));
  EXPECT_THAT(refusal_of("scenario a\nthread t\nexpect R4\n"), HasSubstr("before the first"));
}

/// Where each thread's call said what.
std::vector<std::string> answers_of(const ScenarioResult& result) {
  std::vector<std::string> lines;
  for (const CallAnswers& call : result.answers)
    if (call.explored) lines.push_back(call.str());
  return lines;
}

TEST(TextScenario, AnswersOfEachCallAreCountedOverAllOrders) {
  const ScenarioResult result = run_text(
      "scenario a\nsetup\n  kvm = open /dev/kvm\nthread closer\n  close kvm\n"
      "thread user\n  KVM_CREATE_VM kvm type=ordinary -> ok EBADF EBUSY\n");
  ASSERT_EQ(result.verdict, ScenarioResult::Verdict::kExhausted);
  ASSERT_EQ(result.answers.size(), 3U);
  EXPECT_EQ(result.answers[1].times(), result.schedules);
  EXPECT_EQ(result.answers[2].times(), result.schedules);
  EXPECT_THAT(answers_of(result)[1],
              testing::MatchesRegex("line 7: ok ×[0-9]+, EBADF ×[0-9]+, EBUSY never .*"));
  EXPECT_TRUE(result.warnings.empty());
}

TEST(TextScenario, CallThatNeverSucceedsIsTold) {
  const ScenarioResult other = run_text(
      "scenario a\nsetup\n  vfio = open /dev/vfio/devices/vfio0\n"
      "thread t\n  i = IOMMU_IOAS_ALLOC vfio\n  x = open /etc/passwd\n");
  EXPECT_EQ(other.verdict, ScenarioResult::Verdict::kExhausted);
  ASSERT_EQ(other.warnings.size(), 2U);
  EXPECT_THAT(other.warnings[0], HasSubstr("line 5: IOMMU_IOAS_ALLOC never succeeded: EINVAL ×1"));
  EXPECT_THAT(other.warnings[1], HasSubstr("line 6: open never succeeded: E"));
  // What is said to fail is no surprise.
  EXPECT_TRUE(run_text("scenario a\nsetup\n  vfio = open /dev/vfio/devices/vfio0\n"
                       "thread t\n  i = IOMMU_IOAS_ALLOC vfio -> EINVAL\n")
                  .warnings.empty());
}

TEST(TextScenario, NothingRunsAfterTheEndOfItsProcess) {
  const ScenarioResult result = run_text(
      "scenario a\nsetup\n  kvm = open /dev/kvm\nthread t\n  exit\n  close kvm\n"
      "finish\n  open /dev/kvm\n");
  EXPECT_THAT(result.warnings,
              testing::ElementsAre("line 6: close never ran", "line 8: open never ran"));
}

TEST(TextScenario, EndOfAProcessIsThatOfAllItsThreads) {
  const ScenarioResult result = run_text(
      "scenario a\nsetup\n  kvm = open /dev/kvm\nthread t\n  exit\n"
      "thread u\n  KVM_CREATE_VM kvm type=ordinary\n  VM = KVM_CREATE_VM kvm type=ordinary\n");
  ASSERT_EQ(result.verdict, ScenarioResult::Verdict::kExhausted);
  ASSERT_EQ(result.answers.size(), 4U);
  EXPECT_LT(result.answers[2].times(), result.schedules);
  EXPECT_LT(result.answers[3].times(), result.answers[2].times());
}

TEST(Answers, OfTwoExplorationsAreAdded) {
  CallAnswers call{
      .where = "line 1", .call = "close", .allowed = {}, .answers = {{"EBADF", 2, "x"}}};
  std::vector<CallAnswers> all;
  add_answers(all, {call});
  call.answers = {{"ok", 1, ""}};
  add_answers(all, {call});
  EXPECT_EQ(all[0].str(), "line 1: ok ×1, EBADF ×2 (close)");
}

// An order that breaks the expectation exists, and is found: the second thread may
// come after the close.
TEST(TextScenario, OrderOfTwoThreadsMatters) {
  const ScenarioResult result = run_text(kCloserAndUser);
  ASSERT_TRUE(result.failure.has_value());
  EXPECT_THAT(result.failure->what, HasSubstr("EBADF"));
}

std::string verdict_of(std::string_view text) {
  const ScenarioResult result = run_text(text);
  if (result.failure) return result.failure->rule + ": " + result.failure->what;
  return result.verdict == ScenarioResult::Verdict::kExhausted ? "holds" : "bounded";
}
std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string changed(text);
  const std::size_t at = changed.find(from);
  if (at == std::string::npos) return "no such piece";
  return changed.replace(at, from.size(), to);
}

constexpr std::string_view kMeeting =
    "scenario a\ncard as-at-boot\nsetup\n  kvm = open /dev/kvm\n"
    "thread closer\n  close kvm\n  meet there\n"
    "thread user\n  meet there\n  KVM_CREATE_VM kvm type=ordinary -> EBADF\n";

TEST(TextScenario, ThreadsThatMeetWaitForEachOther) {
  EXPECT_EQ(verdict_of(kMeeting), "holds");
  EXPECT_EQ(refusal_of(replaced(kMeeting, "  meet there\n  KVM", "  meet their\n  KVM")),
            "f.scenario:7:1: only this thread meets at `there`: it would wait for nobody");
  EXPECT_EQ(refusal_of("scenario a\nthread a\n  meet x\nthread b\n  repeat 2\n  meet x\n  end\n"),
            "f.scenario:3:1: only this thread meets at `x`: it would wait for nobody");
  EXPECT_THAT(refusal_of("scenario a\nsetup\n  meet x\nthread t\n  meet x\n"),
              HasSubstr(":3:3: threads meet each other"));
}

constexpr std::string_view kMurder =
    "scenario a\ncard as-at-boot\nsetup\n  kvm = open /dev/kvm\n"
    "thread victim\n  KVM_CREATE_VM kvm type=ordinary -> ok\n"
    "  KVM_CREATE_VM kvm type=ordinary -> ok\n"
    "thread killer in other\n  kill main\n";

TEST(TextScenario, AProcessThatIsKilledMakesNoFurtherCall) {
  const ScenarioResult result = run_text(kMurder);
  ASSERT_EQ(result.verdict, ScenarioResult::Verdict::kExhausted);
  ASSERT_EQ(result.answers.size(), 4U);
  EXPECT_LT(result.answers[1].times(), result.schedules) << "it is dead before in some";
  EXPECT_LT(result.answers[2].times(), result.answers[1].times());
  EXPECT_EQ(result.answers[3].times(), result.schedules);
  EXPECT_THAT(refusal_of(replaced(kMurder, "kill main", "kill nobody")),
              HasSubstr("no part is `in nobody`, which is killed"));
}

TEST(TextScenario, AKilledOnesDescriptorsAreClosedAfterTheCallThatItIsIn) {
  // Nobody sees the file go while the call runs, and it does go: the node is free again.
  constexpr std::string_view kInCall =
      "scenario a\ncard as-at-boot\nsetup\n  vfio = open /dev/vfio/devices/vfio0\n"
      "  iommu = open /dev/iommu\n  dev = VFIO_DEVICE_BIND_IOMMUFD vfio iommufd=iommu\n"
      "thread victim\n  VFIO_DEVICE_RESET vfio -> ok\n  VFIO_DEVICE_RESET vfio -> ok\n"
      "thread killer in other\n  kill main\n"
      "finish in other\n  holds \"in use by VFIO 0000:01:00.0\" no\n";
  EXPECT_EQ(verdict_of(kInCall), "holds");
  // So with exit_group(2) of another thread.
  EXPECT_EQ(verdict_of(replaced(kInCall, "thread killer in other\n  kill main\n",
                                "thread leaver\n  exit\n")),
            "holds");
}

TEST(TextScenario, WhoMayNotComeToAMeetingIsNotWaitedFor) {
  EXPECT_EQ(verdict_of("scenario a\nsetup\n  kvm = open /dev/kvm\n"
                       "thread gone\n  none = open /dev/nothing -> ENOENT\n  if none ok meet x\n"
                       "  close kvm -> ok\nthread waits\n  meet x\n  open /dev/kvm -> ok\n"),
            "holds")
      << "an `if` passes it by";
  EXPECT_EQ(verdict_of("scenario a\nthread gone in other\n  exit\n  meet x\n"
                       "thread waits\n  meet x\n  open /dev/kvm -> ok\n"),
            "holds")
      << "its process has ended";
  EXPECT_EQ(verdict_of("scenario a\nthread killed in other\n  meet y\n  meet x\n"
                       "thread kills\n  kill other\n  meet x\n  meet y\n"),
            "holds")
      << "it was killed while it waited, or before";
}

TEST(TextScenario, CrossedMeetingsAreToldAsSuch) {
  const std::string verdict =
      verdict_of("scenario a\nthread a\n  meet x\n  meet y\nthread b\n  meet y\n  meet x\n");
  EXPECT_THAT(verdict, HasSubstr("check: meetings are crossed, and nobody goes on: "
                                 "a waits in line 3 at `x` for b; b waits in line 6 at `y` for a"));
  EXPECT_EQ(refusal_of("scenario a\nthread a\n  meet x\n  meet y\n  meet x\n"),
            "f.scenario:5:3: this thread met at `x` in line 3: all go on from there, and a further "
            "place has another name");
}

TEST(TextScenario, NumberThatACallCannotHoldIsRefused) {
  const auto with = [](std::string_view call) {
    return refusal_of(
        "scenario a\nsetup\n  kvm = open /dev/kvm\n  vm = KVM_CREATE_VM kvm\n"
        "thread t\n  " +
        std::string(call) + "\n");
  };
  EXPECT_EQ(with("KVM_SET_USER_MEMORY_REGION2 vm slot=0x100000000 gpa=0 size=0"),
            "f.scenario:6:39: slot has 32 bits: it is at most 0xffffffff");
  EXPECT_EQ(with("KVM_SET_USER_MEMORY_REGION2 vm slot=0xffffffff gpa=0 size=0"), "accepted");
  EXPECT_THAT(with("VFIO_DEVICE_FEATURE_DMA_BUF vm region=4294967296"), HasSubstr(":6:41: region"));
  EXPECT_EQ(with("pwrite vm offset=0x100000000 value=0x100000000"),
            "f.scenario:6:38: value has 32 bits: it is at most 0xffffffff");
  EXPECT_EQ(with("pwrite vm offset=0 value=0x100 bytes=1"),
            "f.scenario:6:28: value has 8 bits: it is at most 0xff");
  EXPECT_EQ(with("pwrite vm offset=0 bytes=2 value=0xffff"), "accepted");
  EXPECT_EQ(with("IOMMU_DESTROY vm id=0x100000000"),
            "f.scenario:6:23: id has 32 bits: it is at most 0xffffffff");
}

constexpr std::string_view kConditions =
    "scenario a\ncard as-at-boot\nsetup\n  kvm = open /dev/kvm\n"
    "thread t\n  none = open /dev/nothing -> ENOENT\n"
    "  if none ok close kvm\n  if none refused vm = KVM_CREATE_VM kvm type=ordinary -> ok\n"
    "  if vm ok close vm -> ok\n";

TEST(TextScenario, ACallMayDependOnAnEarlierOnesAnswer) {
  EXPECT_EQ(verdict_of(kConditions), "holds");
  EXPECT_THAT(verdict_of(replaced(kConditions, "if none ok close", "if none refused close")),
              HasSubstr("KVM_CREATE_VM answered EBADF"));
  EXPECT_THAT(refusal_of(replaced(kConditions, "if none ok", "if none happy")),
              HasSubstr("a call that is named was ok or refused"));
  EXPECT_THAT(
      refusal_of(replaced(kConditions, "if none ok", "if nothing ok")),
      HasSubstr("nothing is named `nothing` before this line; `if` asks for the answer of a "
                "call that gives something and has a name: nothing = CALL"));
}

constexpr std::string_view kStates =
    "scenario a\nsetup\n  vfio = open /dev/vfio/devices/vfio0\n  iommu = open /dev/iommu\n"
    "  dev = VFIO_DEVICE_BIND_IOMMUFD vfio iommufd=iommu\n"
    "thread t\n  pwrite vfio offset=0x70000000004 value=6 bytes=2 -> ok\n"
    "finish\n  holds \"command register of 0000:01:00.0\" 0x0006\n"
    "  holds \"TDI state of 0000:01:00.0\" CONFIG_UNLOCKED\n"
    "  pwrite vfio offset=0x70000000004 value=2 bytes=2\n";

TEST(TextScenario, AStateCanBeExpected) {
  EXPECT_EQ(verdict_of(kStates), "holds");
  EXPECT_THAT(verdict_of(replaced(kStates, "CONFIG_UNLOCKED", "RUN")),
              HasSubstr("holds answered ENODATA, not ok: the state is another one: TDI state of "
                        "0000:01:00.0 is CONFIG_UNLOCKED"));
  EXPECT_THAT(verdict_of(replaced(kStates, "TDI state", "mood")),
              HasSubstr("holds answered ENOENT"));
}

TEST(TextScenario, WhatAProgramReadsCanBeExpected) {
  constexpr std::string_view kReads =
      "scenario a\nsetup\n  vfio = open /dev/vfio/devices/vfio0\n  iommu = open /dev/iommu\n"
      "  dev = VFIO_DEVICE_BIND_IOMMUFD vfio iommufd=iommu\n"
      "thread t\n  pwrite vfio offset=0x70000000004 value=6 bytes=2 -> ok\n"
      "finish\n  reads vfio offset=0x70000000004 value=6 bytes=2\n"
      "  pwrite vfio offset=0x70000000004 value=2 bytes=2\n";
  EXPECT_EQ(verdict_of(kReads), "holds");
  EXPECT_THAT(
      verdict_of(replaced(kReads, "value=6 bytes=2\n  pwrite", "value=2 bytes=2\n  pwrite")),
      HasSubstr("reads answered ENODATA, not ok: it reads as something else: 0x6"));
  EXPECT_THAT(verdict_of(replaced(kReads, "reads vfio", "reads iommu")),
              HasSubstr("reads answered"));
}

TEST(TextScenario, ADmaBufIsMappedUntilItIsRevoked) {
  constexpr std::string_view kImport =
      "scenario a\nsetup\n  vfio = open /dev/vfio/devices/vfio0\n  iommu = open /dev/iommu\n"
      "  dev = VFIO_DEVICE_BIND_IOMMUFD vfio iommufd=iommu\n  ioas = IOMMU_IOAS_ALLOC iommu\n"
      "  bar = VFIO_DEVICE_FEATURE_DMA_BUF vfio region=2\n"
      "thread importer\n  IOMMU_IOAS_MAP_FILE iommu ioas=ioas fd=bar iova=0x10000 -> ok ENODEV\n"
      "thread resetter\n  VFIO_DEVICE_RESET vfio -> ok\n"
      "finish\n  close bar\n";
  EXPECT_EQ(verdict_of(kImport), "holds");
}

TEST(TextScenario, AStateThatNoMachineHasIsToldBeforeItRuns) {
  const auto told = [](std::string_view text) -> std::string {
    const auto scenario = parse_text_scenario(text, "f");
    if (!scenario) return scenario.error();
    const auto checked = check_names(*scenario, default_designs().front(), "f");
    return checked ? "known" : checked.error();
  };
  EXPECT_EQ(told(kStates), "known");
  EXPECT_EQ(told(replaced(kStates, "TDI state", "TDI sate")),
            "f:10: no machine of tdx has a state `TDI sate of 0000:01:00.0`; "
            "is it `TDI state of 0000:01:00.0`?");
  EXPECT_THAT(told(replaced(kStates, "TDI state of 0000:01:00.0", "mood")),
              HasSubstr("a state `mood`; there are "));
  EXPECT_EQ(told(replaced(kStates, "TDI state of 0000:01:00.0", "TDI state of 0000:01:07.7")),
            "known")
      << "functions come and go";
  EXPECT_EQ(told(replaced(kStates, "CONFIG_UNLOCKED", "CONFIG_LOKED")),
            "f:10: `TDI state of 0000:01:00.0` is never `CONFIG_LOKED`; it is one of "
            "CONFIG_UNLOCKED, CONFIG_LOCKED, RUN, ERROR");
  EXPECT_EQ(told(replaced(kStates, " 0x0006", " 6")),
            "f:9: `command register of 0000:01:00.0` is never `6`; it is a register as 0x0006 is "
            "one");
  const auto of = [&](std::string_view state, std::string_view value) {
    return told("scenario a\nthread t\n  holds \"" + std::string(state) + "\" " +
                std::string(value) + "\n");
  };
  EXPECT_EQ(of("TSM of 0000:01:00.0", "\"\""), "known");
  EXPECT_EQ(of("bound TSM of 0000:01:00.0", "tsm1"),
            "f:3: `bound TSM of 0000:01:00.0` is never `tsm1`; it is one of tsm0, \"\"");
  EXPECT_EQ(of("in use by VFIO 0000:01:00.0", "true"),
            "f:3: `in use by VFIO 0000:01:00.0` is never `true`; it is one of yes, no");
  EXPECT_EQ(of("driver of 0000:01:00.0", "vfio-pci"), "known");
  EXPECT_EQ(of("frames in use", "007"),
            "f:3: `frames in use` is never `007`; it is a number, such as 12");
  EXPECT_EQ(of("frames in use", "7"), "known");
}

constexpr std::string_view kLoop =
    "scenario a\ncard as-at-boot\nsetup\n  kvm = open /dev/kvm\n"
    "thread maker\n  repeat 3\n    vm = KVM_CREATE_VM kvm type=ordinary -> ok\n"
    "    if vm ok close vm -> ok\n    meet after\n  end\n"
    "thread other\n  repeat 3\n    meet after\n  end\n";

TEST(TextScenario, CallsAreRepeated) {
  const auto scenario = parse_text_scenario(kLoop, "f");
  ASSERT_TRUE(scenario.has_value()) << scenario.error();
  ASSERT_EQ(scenario->threads[0].steps.size(), 9U);
  EXPECT_EQ(scenario->threads[0].steps[8].round, 3U);
  const ScenarioResult result = run_text(kLoop);
  ASSERT_EQ(result.verdict, ScenarioResult::Verdict::kExhausted)
      << (result.failure ? result.failure->what : "");
  EXPECT_THAT(answers_of(result)[3], testing::StartsWith("line 7 round 2: ok ×"));
  EXPECT_TRUE(result.warnings.empty());
  // A round that one of them does not make is not waited for.
  EXPECT_EQ(verdict_of(replaced(kLoop, "other\n  repeat 3", "other\n  repeat 2")), "holds");
}

TEST(TextScenario, LoopsAreNestedAndChecked) {
  const auto nested = parse_text_scenario(
      "scenario a\nthread t\n  repeat 2\n    repeat 3\n      kvm = open /dev/kvm\n    end\n"
      "    close kvm\n  end\n  close kvm\n",
      "f");
  ASSERT_TRUE(nested.has_value()) << nested.error();
  ASSERT_EQ(nested->threads[0].steps.size(), 9U);
  EXPECT_EQ(nested->threads[0].steps[6].round, 6U) << "the last of the inner rounds";
  EXPECT_THAT(refusal_of("scenario a\nthread t\n  repeat 2\n    open /dev/kvm\n"),
              HasSubstr(":3:3: a `repeat` ends with a line `end`"));
  EXPECT_THAT(refusal_of("scenario a\nthread t\n  open /dev/kvm\n  end\n"),
              HasSubstr(":4:3: `end` without its `repeat`"));
  EXPECT_THAT(refusal_of("scenario a\nthread t\n  repeat 65\n    open /dev/kvm\n  end\n"),
              HasSubstr(":3:10: a loop has 1 to 64 rounds"));
  EXPECT_THAT(
      refusal_of("scenario a\nthread t\n  repeat 64\n  repeat 64\n    open /dev/kvm\n  end\n"
                 "  end\n"),
      HasSubstr("at most 256 calls"));
}

/// A TD's device is bound; its page of MMIO may be refused once.
constexpr std::string_view kOneFails =
    "scenario a\nfirmware cca\nfail RMI_RTT_DEV_MAP\nsetup\n  kvm = open /dev/kvm\n"
    "  vm = KVM_CREATE_VM kvm\n  vfio = open /dev/vfio/devices/vfio0\n"
    "  device = KVM_CREATE_DEVICE vm\n  KVM_SET_DEVICE_ATTR device attr=FILE_ADD fd=vfio\n"
    "  iommu = open /dev/iommu\n  dev = VFIO_DEVICE_BIND_IOMMUFD vfio iommufd=iommu\n"
    "  ioas = IOMMU_IOAS_ALLOC iommu\n  hwpt = IOMMU_HWPT_ALLOC iommu dev=dev pt=ioas\n"
    "  viommu = IOMMU_VIOMMU_ALLOC iommu dev=dev hwpt=hwpt\n"
    "  vdev = IOMMU_VDEVICE_ALLOC iommu viommu=viommu dev=dev virt_id=0x10\n"
    "thread t\n  IOMMU_VDEVICE_TSM_OP iommu vdevice=vdev op=bind -> ok\n"
    "  IOMMU_VDEVICE_TSM_REQ iommu vdevice=vdev state=locked -> ok\n"
    "  TSM_REQ_READ_OBJECT iommu vdevice=vdev -> ok\n"
    "  TSM_REQ_READ_OBJECT iommu vdevice=vdev object=vca -> ok\n"
    "  TSM_REQ_OBJECT_INFO iommu vdevice=vdev -> ok\n"
    "  TSM_REQ_REGEN_OBJECT iommu vdevice=vdev nonce=7 -> ok\n";

ScenarioResult run_on(std::string_view text, std::size_t design) {
  const auto scenario = parse_text_scenario(text, "f");
  EXPECT_TRUE(scenario.has_value()) << (scenario ? "" : scenario.error());
  return run_scenario(make_scenario(*scenario, default_designs()[design]), {});
}

TEST(TextScenario, GuestAsksForMoreThanAState) {
  const ScenarioResult result = run_on(kOneFails, 1);
  EXPECT_EQ(result.verdict, ScenarioResult::Verdict::kExhausted)
      << (result.failure ? result.failure->what : "");
  EXPECT_THAT(refusal_of(replaced(kOneFails, "object=vca", "object=vac")),
              HasSubstr("object is one of report, evidence"));
}

TEST(TextScenario, OnlyTheStepThatIsNamedFails) {
  // bind makes a VDEV, and maps nothing.
  EXPECT_EQ(run_on(kOneFails, 1).schedules, 1U) << "none of these calls maps MMIO";
  const ScenarioResult fails =
      run_on(replaced(kOneFails, "fail RMI_RTT_DEV_MAP", "fail RMI_VDEV_CREATE"), 1);
  ASSERT_TRUE(fails.failure.has_value());
  EXPECT_THAT(fails.failure->what, HasSubstr("IOMMU_VDEVICE_TSM_OP answered E"));
  EXPECT_EQ(fails.failure->failures, 1U);
  const auto told = [](std::string_view text) -> std::string {
    const auto scenario = parse_text_scenario(text, "f");
    if (!scenario) return scenario.error();
    const auto checked = check_names(*scenario, default_designs()[1], "f");
    return checked ? "known" : checked.error();
  };
  EXPECT_EQ(told(kOneFails), "known");
  EXPECT_EQ(told(replaced(kOneFails, "RMI_RTT_DEV_MAP", "RMI_RTT_DEV_MPA")),
            "f:3: fail: no firmware of cca has a command `RMI_RTT_DEV_MPA` that can fail; is it "
            "`RMI_RTT_DEV_MAP`?");
  EXPECT_THAT(
      told(replaced(kOneFails, "RMI_RTT_DEV_MAP", "RMI_PDEV_GET_STATE")),
      HasSubstr("f:3: fail: RMI_PDEV_GET_STATE of cca never fails, as far as schedules go"));
}

TEST(TextScenario, AFailureThatNeverCameIsTold) {
  const ScenarioResult none = run_on(kOneFails, 1);
  EXPECT_THAT(none.warnings,
              testing::Contains(HasSubstr("line 3: fail RMI_RTT_DEV_MAP never ran")));
  constexpr std::string_view kAnyAnswer = "op=bind -> ok EBUSY EIO ENXIO EAGAIN ENOMEM";
  std::string text(replaced(kOneFails, "fail RMI_RTT_DEV_MAP", "fail RMI_VDEV_CREATE"));
  text = replaced(text, "op=bind -> ok", kAnyAnswer);
  text.resize(text.find("  IOMMU_VDEVICE_TSM_REQ"));  // what the bind is followed by
  const ScenarioResult some = run_on(text, 1);
  ASSERT_EQ(some.verdict, ScenarioResult::Verdict::kExhausted) << some.failure->what;
  EXPECT_EQ(some.answers.back().call, "fail RMI_VDEV_CREATE");
  EXPECT_TRUE(some.warnings.empty()) << some.warnings.front();
  const auto scenario = parse_text_scenario(text, "f");
  const ScenarioResult without =
      run_scenario(make_scenario(*scenario, default_designs()[1]), {.failures = 0});
  EXPECT_THAT(without.warnings, testing::Contains("line 3: fail RMI_VDEV_CREATE: it never failed"));
}

TEST(TextScenario, LinesOfTheHeadFitTogether) {
  const auto head = [](std::string_view lines) {
    return refusal_of("scenario a\n" + std::string(lines) + "thread t\n  exit\n");
  };
  EXPECT_EQ(head("failures 0\nfail RMI_VDEV_CREATE\n"),
            "f.scenario:2:10: `fail RMI_VDEV_CREATE` in line 3 wants at least 1 failure");
  EXPECT_EQ(head("fail RMI_VDEV_CREATE\nfailures 2\n"), "accepted");
  EXPECT_EQ(head("replay \"\" tdx cca\nfirmware tdx\n"),
            "f.scenario:2:15: `firmware` leaves cca out, so it is replayed on none");
  EXPECT_EQ(head("replay \"\" tdx\nfirmware tdx\n"), "accepted");
  EXPECT_EQ(head("replay \"\" cca\n"), "accepted");
  EXPECT_EQ(head("replay '' cca\n"), "accepted") << "as a shell has it";
  EXPECT_EQ(head("replay '9*3'\n"), "accepted");
  EXPECT_THAT(head("replay '9*3\n"), HasSubstr("a choice is not a number"));
  for (const std::string one :
       {"failures 1", "fail X", "cards 2", "card connected", "firmware tdx"})
    EXPECT_EQ(head(one + "\n" + one + "\n"), "f.scenario:3:1: a scenario has one `" +
                                                 one.substr(0, one.find(' ')) +
                                                 "`, and line 2 is it");
  EXPECT_EQ(head("set vm_ref = viommu\nset vm_ref = viommu\n"),
            "f.scenario:3:5: `vm_ref` is set already");
}

TEST(TextScenario, ASecondCardIsThere) {
  constexpr std::string_view kTwo =
      "scenario a\ncards 2\nthread t\n"
      "  write /sys/devices/pci0000:00/0000:00:09.0/0000:09:00.0/tsm/disconnect tsm0 -> ok\n"
      "finish\n  holds \"TSM of 0000:09:00.0\" \"\"\n  holds \"TSM of 0000:01:00.0\" tsm0\n";
  EXPECT_EQ(verdict_of(kTwo), "holds");
  EXPECT_THAT(verdict_of(replaced(kTwo, "cards 2\n", "")), HasSubstr("write answered ENOENT"));
  const std::string linked =
      replaced(kTwo, "/sys/devices/pci0000:00/0000:00:09.0/", "/sys/bus/pci/devices/");
  EXPECT_EQ(verdict_of(linked), "holds");
  EXPECT_THAT(verdict_of(replaced(linked, "devices/0000:09:00.0", "devices/0000:0a:00.0")),
              HasSubstr("write answered ENOENT"));
  EXPECT_THAT(refusal_of("scenario a\ncards 3\nthread t\n"), HasSubstr("there are 1 or 2 cards"));
}

constexpr std::string_view kIovas =
    "scenario a\nsetup\n  vfio = open /dev/vfio/devices/vfio0\n  iommu = open /dev/iommu\n"
    "  dev = VFIO_DEVICE_BIND_IOMMUFD vfio iommufd=iommu\n"
    "  one = IOMMU_IOAS_ALLOC iommu\n  other = IOMMU_IOAS_ALLOC iommu\n"
    "  VFIO_DEVICE_ATTACH_IOMMUFD_PT vfio pt=one\n  VFIO_DEVICE_SET_IRQS vfio msix=on\n"
    "thread mapper\n  IOMMU_IOAS_MAP iommu ioas=one iova=0x10000 -> ok\n"
    "  IOMMU_IOAS_COPY iommu to=other from=one iova=0x10000 -> ok\n"
    "  IOMMU_IOAS_UNMAP iommu ioas=one iova=0x10000 -> ok\n"
    "  IOMMU_IOAS_UNMAP iommu ioas=one iova=0x10000 -> ENOENT\n"
    "finish\n  VFIO_DEVICE_DETACH_IOMMUFD_PT vfio\n  VFIO_DEVICE_SET_IRQS vfio msix=off\n";

TEST(TextScenario, MemoryIsMappedForDevices) { EXPECT_EQ(verdict_of(kIovas), "holds"); }

constexpr std::string_view kGmem =
    "scenario a\nfirmware tdx\ncard as-at-boot\nsetup\n  kvm = open /dev/kvm\n"
    "  vm = KVM_CREATE_VM kvm\n  KVM_TDX_INIT_VM vm\n  vcpu = KVM_CREATE_VCPU vm\n"
    "  KVM_TDX_INIT_VCPU vcpu\n  gmem = KVM_CREATE_GUEST_MEMFD vm\n"
    "  KVM_SET_USER_MEMORY_REGION2 vm slot=1 gpa=0x100000 size=0x1000 gmem=gmem\n"
    "  KVM_SET_MEMORY_ATTRIBUTES vm gpa=0x100000 private=yes\n"
    "thread builder\n  KVM_TDX_INIT_MEM_REGION vcpu gpa=0x100000 -> ok\n"
    "thread puncher\n  fallocate gmem -> ok\n"
    "finish\n  fallocate gmem\n  KVM_TDX_INIT_MEM_REGION vcpu gpa=0x100000\n";

TEST(TextScenario, PrivateMemoryIsFilledAndPunched) {
  EXPECT_EQ(verdict_of(kGmem), "holds");
  EXPECT_THAT(verdict_of(replaced(kGmem, "finish\n  fallocate gmem\n", "finish\n")),
              HasSubstr("KVM_TDX_INIT_MEM_REGION answered EIO"));
}

constexpr std::string_view kMovedSlot =
    "scenario a\nsetup\n  kvm = open /dev/kvm\n  vm = KVM_CREATE_VM kvm type=ordinary\n"
    "  vcpu = KVM_CREATE_VCPU vm\n  m = memory size=0x2000\n  n = memory size=0x2000\n"
    "  KVM_SET_USER_MEMORY_REGION2 vm slot=1 gpa=0x100000 size=0x2000 memory=m\n"
    "thread mover\n"
    "  KVM_SET_USER_MEMORY_REGION2 vm slot=1 gpa=0x200000 size=0x2000 memory=m -> ok\n"
    "  KVM_SET_USER_MEMORY_REGION2 vm slot=1 gpa=0x200000 size=0x2000 memory=n -> EINVAL\n"
    "  KVM_SET_USER_MEMORY_REGION2 vm slot=2 gpa=0x201000 size=0x2000 memory=n -> EEXIST\n"
    "  KVM_SET_USER_MEMORY_REGION2 vm slot=3 gpa=0 size=0x1000 memory=n flags=0x100 -> EINVAL\n"
    "  KVM_SET_USER_MEMORY_REGION2 vm slot=3 gpa=0 size=0x1000 memory=n flags=2 -> ok\n"
    "thread guest\n  KVM_PRE_FAULT_MEMORY vcpu gpa=0x100000\n"
    "finish\n  KVM_PRE_FAULT_MEMORY vcpu gpa=0x200000\n";

// KVM_MR_MOVE, and what kvm_set_memory_region() refuses.
TEST(TextScenario, AMemslotMovesAndWrongOnesAreRefused) {
  EXPECT_EQ(verdict_of(kMovedSlot), "holds");
}

}  // namespace
}  // namespace teeio::explore
