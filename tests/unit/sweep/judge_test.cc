#include "sweep/judge.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "sweep/report.h"
#include "sweep/stacks.h"

namespace teeio::sweep {
namespace {

run::Injection spec(std::string_view text) { return run::parse_injection(text).value(); }
Judged judged(const Outcome& outcome, std::string_view text = "fail:open#1=ENOMEM") {
  return judge(Outcome{}, spec(text), outcome);
}

TEST(Judge, TellsOkFromHandled) {
  EXPECT_EQ(judged({}).verdict, Verdict::kOk);
  EXPECT_EQ(judged({.status = 1}).verdict, Verdict::kHandled);
  EXPECT_EQ(judged({.happened = false}).verdict, Verdict::kNotReached);
}

TEST(Judge, ASignalThatIsNotOursIsAFinding) {
  EXPECT_EQ(judged({.status = 139, .killed = {"vmm SIGSEGV"}}).verdict, Verdict::kFinding);
  EXPECT_EQ(judged({.status = 137, .killed = {"vmm SIGKILL"}}, "kill:open#1:after").verdict,
            Verdict::kHandled);
  EXPECT_EQ(
      judged({.killed = {"vmm SIGKILL", "sh SIGABRT"}}, "kill:open#1:after").complaints.size(), 1U);
  const Outcome first{.status = 143, .killed = {"child SIGTERM"}};
  EXPECT_EQ(judge(first, spec("fail:open=ENOMEM"), first).verdict, Verdict::kOk);
}

TEST(Judge, AShellsStatusSaysHowItsChildDied) {
  const Judged crashed = judged({.status = 139});
  ASSERT_EQ(crashed.complaints.size(), 1U);
  EXPECT_EQ(crashed.complaints[0].what, "a process died: the exit status 139 says SIGSEGV");
  EXPECT_EQ(judged({.status = 137}, "kill:open#1:after").verdict, Verdict::kHandled);
  EXPECT_EQ(judged({.status = 137}).verdict, Verdict::kFinding);
  EXPECT_EQ(judged({.status = 255}).verdict, Verdict::kHandled);
  EXPECT_EQ(judge({.status = 134}, spec("fail:open=ENOMEM"), {.status = 134}).verdict,
            Verdict::kOk);
}

TEST(Judge, FindsWhatIsLeftBehind) {
  const Judged leak = judged({.lost = {"frames in use: 0 at boot, 3 at the end"}});
  ASSERT_EQ(leak.complaints.size(), 1U);
  EXPECT_EQ(leak.complaints[0].key, "machine frames in use");
  const Outcome locked{
      .lost = {"TDI state of 0000:01:00.0: CONFIG_UNLOCKED at boot, RUN at the end"}};
  EXPECT_EQ(judged(locked).verdict, Verdict::kFinding);
  EXPECT_EQ(judged(locked, "device:STOP_INTERFACE#1=gone").verdict, Verdict::kOk);
}

TEST(Judge, FindsAllElse) {
  EXPECT_EQ(judged({.cut_off = "it did not end"}).verdict, Verdict::kFinding);
  EXPECT_EQ(judged({.out_of_processes = true}).verdict, Verdict::kFinding);
  EXPECT_EQ(judged({.broken = {{"R4", "KVM_RUN", "x"}}}).verdict, Verdict::kFinding);
  EXPECT_EQ(judged({.expectation = "no"}).verdict, Verdict::kFinding);
  EXPECT_EQ(judged({.crash = "signal 6"}).verdict, Verdict::kFinding);
}

TEST(Judge, AFirstRunIsAMeasureOnlyIfNothingIsWrong) {
  EXPECT_EQ(why_not_a_measure({}, 0), "");
  EXPECT_NE(why_not_a_measure({.status = 1}, 0), "");
  EXPECT_EQ(why_not_a_measure({.status = 1}, 1), "");
  EXPECT_NE(why_not_a_measure({.cut_off = "it did not end"}, 0), "");
  EXPECT_NE(why_not_a_measure({.lost = {"x: 1 at boot, 2 at the end"}}, 0), "");
  EXPECT_NE(why_not_a_measure({.broken = {{"R4", "", "x"}}}, 0), "");
}

std::vector<Result> some_results() {
  std::vector<Result> results;
  const auto add = [&](std::string_view text, Outcome outcome) {
    Result result{
        .variation = {results.size() + 1, spec(text)}, .outcome = std::move(outcome), .judged = {}};
    result.judged = judge(Outcome{}, result.variation.injection, result.outcome);
    results.push_back(std::move(result));
  };
  add("fail:open#1=ENOMEM", {.status = 1});
  add("fail:open#2=ENOMEM", {.lost = {"frames in use: 0 at boot, 3 at the end"}});
  add("fail:mmap#1=EAGAIN", {.lost = {"frames in use: 0 at boot, 9 at the end"}});
  add("signal:KVM_RUN#1", {.status = 139, .killed = {"vmm SIGSEGV"}, .last_words = "<&\"\xff"});
  return results;
}

TEST(Findings, AreTogetherBySubjectTheSmallestFirst) {
  const auto results = some_results();
  const auto findings = findings_of(results);
  ASSERT_EQ(findings.size(), 2U);
  ASSERT_EQ(findings[0].results.size(), 2U);
  EXPECT_EQ(findings[0].results[0]->variation.number, 2U);
  EXPECT_EQ(findings[1].complaint.what, "a process died: vmm SIGSEGV");
}

TEST(Findings, OfDifferentPlacesOfTheProgramAreDifferent) {
  std::vector<Result> results;
  const auto add = [&](std::string_view text, std::vector<std::string> stack,
                       std::vector<Outcome::Broken> broken) {
    Result result{
        .variation = {results.size() + 1, spec(text)},
        .outcome = {.status = 139, .broken = std::move(broken), .stack = std::move(stack)},
        .judged = {}};
    result.judged = judge(Outcome{.status = 139}, result.variation.injection, result.outcome);
    results.push_back(std::move(result));
  };
  const std::vector<std::string> call = {"ioctl+0x1 (libc.so.6+0x1)", "attach+0x2 (vmm+0x2)"};
  const std::vector<std::string> close = {"close+0x1 (libc.so.6+0x9)", "end+0x2 (vmm+0x7)"};
  add("fail:open#1=ENOMEM", call, {{"R4", "close", "x", close}});
  add("fail:open#2=ENOMEM", call, {{"R4", "close", "x", close}});
  add("fail:open#3=ENOMEM", call, {{"R4", "close", "x", {"close+0x1 (libc.so.6+0x9)"}}});
  add("fail:open#4=ENOMEM", call, {{"R4", "close", "x"}});
  const auto findings = findings_of(results);
  ASSERT_EQ(findings.size(), 3U);
  EXPECT_EQ(findings[0].results.size(), 2U);
  EXPECT_EQ(findings[2].complaint.stack, call);
  const std::string text =
      summary({.command = {"vmm"}, .results = &results, .wanted = 4, .interrupted = ""});
  EXPECT_NE(text.find("\n    at end+0x2 (vmm+0x7)\n"), std::string::npos) << text;
  const auto again = parse_outcome(to_json(results[0].outcome));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(*again, results[0].outcome);
}

// What broke a rule in a call whose stack nobody took is not told to be where the injection was.
TEST(Findings, OfAStackThatWasNotTakenAreNotAtTheInjection) {
  Stacks stacks;
  stacks.keep(0);
  for (std::size_t i = 1; i <= Stacks::kMost; ++i) stacks.keep(::getpid());
  EXPECT_TRUE(stacks.at(0).empty());
  const Outcome outcome{.broken = {{"R4", "close", "x", stacks.at(Stacks::kMost)}},
                        .stack = {"ioctl+0x1 (libc.so.6+0x1)", "attach+0x2 (vmm+0x2)"}};
  const Judged found = judged(outcome);
  ASSERT_EQ(found.complaints.size(), 1U);
  EXPECT_EQ(found.complaints[0].key, "R4 close at the stack was not taken");
  EXPECT_EQ(found.complaints[0].stack, stacks.at(Stacks::kMost));
}

TEST(Report, HasTheReplayTheTableAndTheTotals) {
  const auto results = some_results();
  const Report report{.command = {"vmm", "a b"},
                      .options = {"--machine", "m n.toml"},
                      .results = &results,
                      .wanted = 4,
                      .interrupted = ""};
  const std::string text = summary(report);
  EXPECT_NE(text.find("teeio run --machine 'm n.toml' --inject 'fail:open#2=ENOMEM' -- vmm 'a b'"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("exit status 1 instead of 0: 1 run\n"), std::string::npos) << text;
  EXPECT_NE(text.find("4 runs: 0 ok, 1 handled, 3 with findings; 2 findings\n"), std::string::npos)
      << text;
  EXPECT_NE(junit(report).find("failures=\"3\""), std::string::npos) << junit(report);
  EXPECT_NE(json_text(report).find("\"fail:mmap#1=EAGAIN\""), std::string::npos);
}

}  // namespace
}  // namespace teeio::sweep
