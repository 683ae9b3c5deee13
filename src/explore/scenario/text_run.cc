#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.h"
#include "explore/scenario/catalogue.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/text.h"
#include "explore/scenario/text_calls.h"
#include "explore/scenario/text_end.h"
#include "explore/scenario/text_meetings.h"
#include "explore/scenario/text_settings.h"
#include "schedule/choice_watch.h"
#include "schedule/races.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

using machine::Config;

/// "line 7", in a loop "line 7 round 2".
std::string place_of(const TextStep& step) {
  std::string text = "line " + std::to_string(step.line);
  if (step.round != 0) text += " round " + std::to_string(step.round);
  return text;
}

/// One schedule of a text scenario.
class TextRun {
 public:
  TextRun(const TextScenario& scenario, const Config& design, Answers& answers)
      : scenario_(scenario),
        answers_(answers),
        stage_(design, scenario.connected ? Stage::Card::kConnected : Stage::Card::kAsAtBoot),
        values_(scenario.symbols, kNothing),
        meetings_(scenario) {
    for (std::uint32_t i = 0; i < scenario.processes; ++i) {
      processes_.push_back(&stage_.vmm());
      ends_.push_back(std::make_unique<ProcessEnd>(*processes_.back(), shares_an_end(i)));
    }
  }

  void run() {
    if (!scenario_.fails.empty()) schedule::ask_only(failure_);
    constexpr std::string_view kMustWork[] = {"ok"};
    for (const TextPart& part : scenario_.setup) play(part, kMustWork);
    stage_.may_take(60);  // a user's administrator may wait for a program that lets go late
    stage_.play();
    tell_of_setup();
    (void)schedule::take_asked();  // the set-up's
    std::vector<schedule::Task> tasks;
    for (std::size_t i = 0; i < scenario_.threads.size(); ++i)
      tasks.push_back(schedule::Task::spawn(scenario_.threads[i].name, [this, i] {
        play(scenario_.threads[i], {}, i);
        meetings_.leave(i);
      }));
    for (schedule::Task& task : tasks) task.join();
    for (const TextPart& part : scenario_.finish) play(part, kMustWork);
  }

 private:
  /// What a symbol stands for whose call was refused: no descriptor, no object.
  static constexpr std::int64_t kNothing = -1;

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

  static constexpr std::size_t kNoThread = ~std::size_t{0};

  /// Of a thread `number` is its index.
  void play(const TextPart& part, std::span<const std::string_view> unless_said,
            std::size_t number = kNoThread) {
    for (const TextStep& step : part.steps) {
      const bool skipped =
          step.condition != 0 && (value(step.condition) == kNothing) != step.if_refused;
      if (skipped) {
        if (step.call->meets) meetings_.pass_by(number, step);
      } else if (!(step.call->meets ? meet(step, number, part) : make(step, part, unless_said))) {
        return;
      }
    }
  }

  /// False: the process has ended.
  bool meet(const TextStep& step, std::size_t thread, const TextPart& part) {
    if (ends_[part.process]->has_come() || !meetings_.come(thread, step)) return false;
    note({step.number, "ok", {}});
    return true;
  }

  /// False: the process has ended, and no call is made.
  bool make(const TextStep& step, const TextPart& part,
            std::span<const std::string_view> unless_said) {
    ProcessEnd& end = *ends_[part.process];
    if (!end.begin_call()) return false;
    if (step.call->ends_process) end_process(part.process);
    if (step.call->kills) end_process(step.kills);
    std::string saw;
    const auto answer = call(step, *processes_[part.process], saw);
    end.end_call();
    const std::string why = answer ? std::string() : why_refused(step, answer.error(), saw);
    note({step.number, answer ? "ok" : errno_name(answer.error().code), why});
    if (answer && step.result != 0) {
      const schedule::Unwatched unwatched;
      values_[step.result] = *answer;
    }
    judge(step, answer, why, unless_said);
    return true;
  }

  void end_process(std::uint32_t process) {
    ends_[process]->come_to();
    meetings_.end_process(process);
  }

  /// With the value of a state that is another one.
  static std::string why_refused(const TextStep& step, const Error& error, const std::string& saw) {
    std::string why(error.why);
    if (error.code != Errno::kNoData) return why;
    if (step.call->looks_at_state)
      why += ": " + step.texts[0] + " is " + (saw.empty() ? "\"\"" : saw);
    else if (!saw.empty())
      why += ": " + saw;
    return why;
  }

  /// Of a symbol, now: a thread may read what another one sets.
  [[nodiscard]] std::int64_t value(std::size_t symbol) const {
    const schedule::Unwatched unwatched;
    return values_[symbol];
  }

  Result<std::int64_t> call(const TextStep& step, machine::Program& program, std::string& saw) {
    std::vector<std::uint64_t> values;
    values.reserve(step.arguments.size());
    for (const TextArgument& argument : step.arguments)
      values.push_back(argument.kind == TextArgument::Kind::kNumber
                           ? argument.value
                           : static_cast<std::uint64_t>(value(argument.value)));
    const int target = step.target == 0 ? -1 : static_cast<int>(value(step.target));
    return step.call->run({.program = program,
                           .target = target,
                           .values = values,
                           .texts = step.texts,
                           .vendor = stage_.vendor(),
                           .saw = saw});
  }

  struct Note {
    std::size_t call;
    std::string_view answer;  // a literal
    std::string why;
  };

  /// What the set-up answered is told when it is over: later schedules begin there.
  void note(const Note& one) {
    const schedule::Unwatched unwatched;
    if (told_of_setup_)
      answers_.note(one.call, one.answer, one.why);
    else
      of_setup_.push_back(one);
  }
  void tell_of_setup() {
    told_of_setup_ = true;
    for (const Note& of_setup : of_setup_) note(of_setup);
  }

  void judge(const TextStep& step, const Result<std::int64_t>& answer, const std::string& why,
             std::span<const std::string_view> unless_said) {
    const std::string_view got = answer ? "ok" : errno_name(answer.error().code);
    const bool said = !step.expected.empty();
    if (said ? std::ranges::find(step.expected, got) != step.expected.end()
             : unless_said.empty() || std::ranges::find(unless_said, got) != unless_said.end())
      return;
    std::string wanted;
    for (const std::string& one : step.expected) wanted += (wanted.empty() ? "" : " or ") + one;
    std::string what = place_of(step) + ": " + std::string(step.call->name) + " answered " +
                       std::string(got) + ", not " + (said ? wanted : "ok");
    if (!answer) what += ": " + why;
    if (!told_of_setup_) tell_of_setup();
    check_failed(what);
  }

  const TextScenario& scenario_;
  const std::string failure_ = scenario_.fails + " fails";  ///< as the firmware's row calls it
  Answers& answers_;
  Stage stage_;
  std::vector<machine::Program*> processes_;
  std::vector<std::unique_ptr<ProcessEnd>> ends_;
  std::vector<std::int64_t> values_;
  Meetings meetings_;
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
        calls.push_back({.where = place_of(step),
                         .call = std::string(step.call->name),
                         .allowed = step.expected,
                         .explored = explored,
                         .answers = {}});
  };
  add(scenario.setup, false);
  add(scenario.threads, true);
  add(scenario.finish, false);
  if (!scenario.fails.empty())
    calls.push_back({.where = "line " + std::to_string(scenario.fails_line),
                     .call = "fail " + scenario.fails,
                     .allowed = {std::string(kFailedAnswer)},
                     .answers = {}});
  return calls;
}

/// "/sys/bus/pci/devices/0000:01:00.0/reset" as the link of that name leads there: nothing else
/// in a scenario follows links. Any other path as it is.
std::string behind_link(const std::string& path, const Config& machine) {
  constexpr std::string_view kLinks = "/sys/bus/pci/devices/";
  constexpr std::size_t kAddress = std::string_view("0000:01:00.0").size();
  if (!path.starts_with(kLinks)) return path;
  const std::string address = path.substr(kLinks.size(), kAddress);
  const auto function = Bdf::parse(address);
  if (!function) return path;
  const auto port = std::ranges::find_if(machine.root_ports, [&](const auto& one) {
    return one.bus == function->bus && one.bdf.domain == function->domain;
  });
  return fmt::format("/sys/devices/pci{:04x}:00/{}{}", function->domain,
                     port == machine.root_ports.end() ? "" : port->bdf.str() + '/',
                     path.substr(kLinks.size()));
}

void follow_links(TextScenario& scenario, const Config& machine) {
  for (auto* parts : {&scenario.setup, &scenario.threads, &scenario.finish})
    for (TextPart& part : *parts)
      for (TextStep& step : part.steps)
        if (!step.texts.empty()) step.texts[0] = behind_link(step.texts[0], machine);
}

/// Of `fail`, when a schedule is over: whether the command was made, and whether it failed.
void note_failures(const TextScenario& scenario, Answers& answers) {
  const schedule::Asked asked = schedule::take_asked();
  if (scenario.fails.empty() || asked.times == 0) return;
  answers.note(answers.calls().size() - 1, asked.other == 0 ? kDidNotFailAnswer : kFailedAnswer,
               {});
}

}  // namespace

bool applies(const TextScenario& scenario, const Config& design) {
  return is_for(scenario.firmware, design);
}

Config machine_of(const TextScenario& scenario, const Config& design) {
  Config with = scenario.two_cards ? with_second_card(design) : design;
  for (const auto& [key, value] : scenario.settings) apply_setting(with, key, value);
  return with;
}

Scenario make_scenario(const TextScenario& scenario, const Config& design) {
  const Config with = machine_of(scenario, design);
  Scenario made;
  made.name = scenario.name + "@" + design.name;
  made.description = scenario.description;
  made.goes_back = true;
  made.failures = scenario.failures;
  made.expectation = scenario.expectation;
  for (const TextReplay& replay : scenario.replays)
    if (is_for(replay.firmware, design)) made.kept.push_back(replay.schedule);
  made.answers = std::make_shared<Answers>(calls_of(scenario));
  TextScenario followed = scenario;
  follow_links(followed, with);
  made.body = [scenario = std::move(followed), with, answers = made.answers] {
    TextRun(scenario, with, *answers).run();
    note_failures(scenario, *answers);
  };
  return made;
}

}  // namespace teeio::explore
