#include <algorithm>
#include <map>
#include <memory>

#include "base/check.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/text.h"
#include "explore/scenario/text_calls.h"
#include "explore/scenario/text_settings.h"
#include "schedule/atomic.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

using machine::Config;

/// One schedule of a text scenario.
class TextRun {
 public:
  TextRun(const TextScenario& scenario, const Config& design, Answers& answers)
      : scenario_(scenario),
        answers_(answers),
        stage_(design, scenario.connected ? Stage::Card::kConnected : Stage::Card::kAsAtBoot),
        values_(scenario.symbols, kNothing) {
    for (std::uint32_t i = 0; i < scenario.processes; ++i) {
      processes_.push_back(&stage_.vmm());
      ends_.push_back(std::make_unique<End>());
      ends_.back()->matters_to_others = shares_an_end(i);
    }
    make_meetings();
  }

  void run() {
    constexpr std::string_view kMustWork[] = {"ok"};
    for (const TextPart& part : scenario_.setup) play(part, kMustWork);
    stage_.play();
    tell_of_setup();
    std::vector<schedule::Task> tasks;
    for (const TextPart& part : scenario_.threads)
      tasks.push_back(schedule::Task::spawn(part.name, [this, &part] { play(part, {}); }));
    for (schedule::Task& task : tasks) task.join();
    for (const TextPart& part : scenario_.finish) play(part, kMustWork);
  }

 private:
  /// What a symbol stands for whose call was refused: no descriptor, no object.
  static constexpr std::int64_t kNothing = -1;

  /// Whether a process has ended. Only threads that can meet its end in the middle
  /// of what they do look at the flag that the explorer sees.
  struct End {
    bool come = false;
    bool matters_to_others = false;
    schedule::Atomic<bool> flag;
  };

  /// Several threads in the process, and one of them ends it.
  [[nodiscard]] bool shares_an_end(std::uint32_t process) const {
    std::size_t threads = 0;
    bool ends = false;
    for (const TextPart& part : scenario_.threads) {
      for (const TextStep& step : part.steps)
        if (step.call->kills && step.kills == process) return true;
      if (part.process != process) continue;
      ++threads;
      ends = ends || std::ranges::any_of(
                         part.steps, [](const TextStep& step) { return step.call->ends_process; });
    }
    return ends && threads > 1;
  }

  static void come_to(End& end) {
    end.come = true;
    if (end.matters_to_others) end.flag.store(true);
  }

  /// Where threads wait until all are there that come there at all.
  struct Meeting {
    schedule::Mutex lock{schedule::Rank::kLeaf};
    schedule::Condition all_here;
    std::size_t missing = 0;
  };

  void make_meetings() {
    for (const TextPart& thread : scenario_.threads)
      for (const TextStep& step : thread.steps)
        if (step.call->meets) {
          auto& meeting = meetings_[step.texts.front()];
          if (meeting == nullptr) meeting = std::make_unique<Meeting>();
          ++meeting->missing;
        }
  }

  void meet(const std::string& where) {
    Meeting& meeting = *meetings_.at(where);
    const schedule::Lock lock(meeting.lock);
    if (--meeting.missing == 0) return meeting.all_here.notify_all();
    while (meeting.missing != 0) meeting.all_here.wait(meeting.lock);
  }

  /// exit_group(2) ends all threads of a process; a call that has begun comes to its end.
  [[nodiscard]] static bool has_ended(const End& end) {
    return end.matters_to_others ? end.flag.load() : end.come;
  }

  void play(const TextPart& part, std::span<const std::string_view> unless_said) {
    End& end = *ends_[part.process];
    for (const TextStep& step : part.steps) {
      if (has_ended(end)) return;
      if (step.condition != 0 && (values_[step.condition] == kNothing) != step.if_refused) continue;
      if (step.call->ends_process) come_to(end);
      if (step.call->kills) {
        come_to(*ends_[step.kills]);
        processes_[step.kills]->exit();
      }
      if (step.call->meets) meet(step.texts.front());
      const auto answer = call(step, *processes_[part.process]);
      note({step.number, answer ? "ok" : errno_name(answer.error().code),
            answer ? std::string_view() : answer.error().why});
      if (answer && step.result != 0) values_[step.result] = *answer;
      judge(step, answer, unless_said);
    }
  }

  Result<std::int64_t> call(const TextStep& step, machine::Program& program) {
    std::vector<std::uint64_t> values;
    values.reserve(step.arguments.size());
    for (const TextArgument& argument : step.arguments)
      values.push_back(argument.kind == TextArgument::Kind::kNumber
                           ? argument.value
                           : static_cast<std::uint64_t>(values_[argument.value]));
    const int target = step.target == 0 ? -1 : static_cast<int>(values_[step.target]);
    return step.call->run({.program = program,
                           .target = target,
                           .values = values,
                           .texts = step.texts,
                           .vendor = stage_.vendor()});
  }

  struct Note {
    std::size_t call;
    std::string_view answer, why;  // literals
  };

  /// What the set-up answered is told when it is over: later schedules begin there.
  void note(const Note& one) {
    if (told_of_setup_)
      answers_.note(one.call, one.answer, one.why);
    else
      of_setup_.push_back(one);
  }
  void tell_of_setup() {
    told_of_setup_ = true;
    for (const Note& of_setup : of_setup_) note(of_setup);
  }

  void judge(const TextStep& step, const Result<std::int64_t>& answer,
             std::span<const std::string_view> unless_said) {
    const std::string_view got = answer ? "ok" : errno_name(answer.error().code);
    const bool said = !step.expected.empty();
    if (said ? std::ranges::find(step.expected, got) != step.expected.end()
             : unless_said.empty() || std::ranges::find(unless_said, got) != unless_said.end())
      return;
    std::string wanted;
    for (const std::string& one : step.expected) wanted += (wanted.empty() ? "" : " or ") + one;
    std::string what = "line " + std::to_string(step.line) + ": " + std::string(step.call->name) +
                       " answered " + std::string(got) + ", not " + (said ? wanted : "ok");
    if (!answer) what += ": " + std::string(answer.error().why);
    if (!told_of_setup_) tell_of_setup();
    check_failed(what);
  }

  const TextScenario& scenario_;
  Answers& answers_;
  Stage stage_;
  std::vector<machine::Program*> processes_;
  std::vector<std::unique_ptr<End>> ends_;
  std::vector<std::int64_t> values_;
  std::map<std::string, std::unique_ptr<Meeting>> meetings_;
  std::vector<Note> of_setup_;
  bool told_of_setup_ = false;
};

}  // namespace

namespace {

bool is_for(const std::vector<machine::TsmKind>& firmware, const Config& design) {
  return firmware.empty() || std::ranges::find(firmware, design.tsm) != firmware.end();
}

/// The calls of a scenario in their order, with no answer yet.
std::vector<CallAnswers> calls_of(const TextScenario& scenario) {
  std::vector<CallAnswers> calls;
  const auto add = [&calls](const std::vector<TextPart>& parts, bool explored) {
    for (const TextPart& part : parts)
      for (const TextStep& step : part.steps)
        calls.push_back({.where = "line " + std::to_string(step.line),
                         .call = std::string(step.call->name),
                         .allowed = step.expected,
                         .explored = explored,
                         .answers = {}});
  };
  add(scenario.setup, false);
  add(scenario.threads, true);
  add(scenario.finish, false);
  return calls;
}

}  // namespace

bool applies(const TextScenario& scenario, const Config& design) {
  return is_for(scenario.firmware, design);
}

Scenario make_scenario(const TextScenario& scenario, const Config& design) {
  Config with = design;
  for (const auto& [key, value] : scenario.settings) apply_setting(with, key, value);
  Scenario made;
  made.name = scenario.name + "@" + design.name;
  made.description = scenario.description;
  made.goes_back = true;
  made.failures = scenario.failures;
  made.expectation = scenario.expectation;
  for (const TextReplay& replay : scenario.replays)
    if (is_for(replay.firmware, design)) made.kept.push_back(replay.schedule);
  made.answers = std::make_shared<Answers>(calls_of(scenario));
  made.body = [scenario, with, answers = made.answers] { TextRun(scenario, with, *answers).run(); };
  return made;
}

}  // namespace teeio::explore
