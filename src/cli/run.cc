#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>

#include "base/fd.h"
#include "base/files.h"
#include "cli/commands.h"
#include "cli/injection_words.h"
#include "cli/internal_error.h"
#include "cli/load_machine.h"
#include "cli/options.h"
#include "cli/pictures.h"
#include "cli/probes.h"
#include "cli/run_command.h"
#include "cli/run_story.h"
#include "rules/sanitizer.h"
#include "rules/verdict.h"

namespace teeio::cli {
namespace {

rules::Census census_of(machine::Machine& machine) {
  rules::Census census;
  for (const auto& [key, value] : machine.census()) census.set(key, value);
  return census;
}

std::expected<rules::Suppressions, std::string> load_suppressions(
    const std::vector<std::string>& paths) {
  constexpr std::size_t kMost = std::size_t{1} << 20U;
  rules::Suppressions suppressions;
  for (const std::string& path : paths) {
    const auto text = read_file(path, kMost);
    if (!text) return std::unexpected(text.error());
    TEEIO_TRY(suppressions.add(*text, path));
  }
  return suppressions;
}

/// "teeio: calls.txt: No space left on device".
std::string lost_text(const std::string& path, int error) {
  return fmt::format("teeio: {}: {}\n", path == "-" ? "standard output" : path,
                     std::strerror(error));  // NOLINT(concurrency-mt-unsafe): one thread is left
}

/// What a run writes besides the program: opened before it starts.
struct Outputs {
  Pictures pictures;
  std::vector<OutputFile> reports;
  Fd log;
  Fd calls;  ///< -o
  [[nodiscard]] int words() const { return log.ok() ? log.get() : STDERR_FILENO; }
  /// False once something could not be said.
  void say(std::string_view text) {
    if (!write_text(words(), text)) lose(errno);
  }
  void lose(int error) {
    said = false;
    lost = error;
  }
  bool said = true;
  int lost = 0;  ///< the errno of it
};

/// Where lines go as they come; an empty `path` is none, "-" is standard output. False after saying
/// why not.
bool open_words(const std::string& path, Fd& file) {
  if (path.empty()) return true;
  constexpr ::mode_t kAllMay = 0666;  // less the umask
  file = path == "-"
             ? Fd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0))
             : Fd(::open(path.c_str(),
                         O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOCTTY, kAllMay));
  if (file.ok()) return true;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet
  complain_text(fmt::format("teeio: {}: {}\n", path, std::strerror(errno)));
  return false;
}

/// Nothing after saying on stderr what cannot be written.
std::optional<Outputs> open_outputs(const RunArguments& arguments) {
  auto pictures = Pictures::open(arguments.pictures);
  if (!pictures) return std::nullopt;
  Outputs outputs{.pictures = std::move(*pictures), .reports = {}, .log = Fd(), .calls = Fd()};
  for (const std::string& path : arguments.reports) {
    auto report = OutputFile::open(path);
    if (!report) {
      complain_text(fmt::format("teeio: {}\n", report.error()));
      return std::nullopt;
    }
    outputs.reports.push_back(std::move(*report));
  }
  if (!open_words(arguments.log, outputs.log) || !open_words(arguments.call_log, outputs.calls))
    return std::nullopt;
  return outputs;
}

/// What pictures say of the run besides its events.
report::RunInfo run_info(const RunArguments& arguments, const machine::Machine& machine,
                         const std::vector<rules::Violation>& violations,
                         const std::vector<rules::Census::Difference>& differences) {
  report::RunInfo info{.version = TEEIO_VERSION,
                       .machine = machine.config().name,
                       .arguments = arguments.supervisor.command,
                       .broken = to_pictures(violations),
                       .closing = "the machine is as it was at boot"};
  if (!differences.empty()) info.closing = "the machine is not as it was at boot";
  if (info.broken.empty()) return info;
  std::map<std::string, std::size_t> counts;
  for (const report::BrokenRule& rule : info.broken) ++counts[rule.rule];
  info.closing = "broken:";
  for (const auto& [rule, count] : counts)
    info.closing += ' ' + rule + (count == 1 ? "" : fmt::format(" ×{}", count));
  return info;
}

/// One run, from the machine at boot to the last line.
class Run {
 public:
  Run(const RunArguments& arguments, machine::Machine& machine, Outputs outputs,
      rules::Suppressions suppressions);
  /// Gives the exit status. An exception is a mistake like others: the program ends with it.
  int go() noexcept;

 private:
  void report(const rules::Violation& violation);
  /// The picture, then what was held back for it.
  void show(const report::RunInfo& info);
  [[nodiscard]] bool draws() const { return !arguments_.pictures.chart.empty(); }
  void explain(bool badly);
  /// The report, to each file; false when one is incomplete, which is said.
  bool write_report(const rules::Ending& ending);
  /// Whether each line of `-v` arrived; what of `-o` did not is said.
  bool calls_are_whole(const run::Supervisor& supervisor);
  void internal_error(const std::string& what);
  [[nodiscard]] rules::Ending ending(const std::vector<rules::Census::Difference>& lost) const;
  [[nodiscard]] bool talks() const {
    return draws() || arguments_.supervisor.calls.wanted || arguments_.why;
  }

  const RunArguments& arguments_;
  machine::Machine& machine_;
  Outputs outputs_;
  rules::Verdict verdict_;
  report::Explainer explainer_;
  RunStory story_{explainer_, machine_.system_calls()};
  run::Injector injector_;
  rules::Sanitizer sanitizer_;
  std::string held_;  ///< reports that come after the chart
  int status_ = run::Supervisor::kCannotRun;
};

Run::Run(const RunArguments& arguments, machine::Machine& machine, Outputs outputs,
         rules::Suppressions suppressions)
    : arguments_(arguments),
      machine_(machine),
      outputs_(std::move(outputs)),
      verdict_(arguments.rules, std::move(suppressions)),
      injector_(arguments.injections),
      sanitizer_(
          rules::teardown_order(machine.config().tsm.name),
          [this](const rules::Violation& violation) { report(violation); },
          [this](const rules::Violation& violation) { return verdict_.admits(violation); }) {}

void Run::report(const rules::Violation& violation) {
  const std::string text = rules::violation_text(violation);
  if (draws())
    held_ += text;
  else
    outputs_.say(text);
}

void Run::show(const report::RunInfo& info) {
  if (!outputs_.pictures.draw(machine_.trace().events(), info, outputs_.words()))
    outputs_.said = false;
  outputs_.say(held_);
  outputs_.say(chart_hint(arguments_.pictures, info.broken));
}

void Run::explain(bool badly) {
  if (!badly && !arguments_.why) return;
  outputs_.say(story_.refusals_text());
  if (badly) outputs_.say(story_.probe_text());
  outputs_.say(story_.processes_text(arguments_.why ? RunStory::Processes::kAll
                                                    : RunStory::Processes::kKilled));
}

rules::Ending Run::ending(const std::vector<rules::Census::Difference>& lost) const {
  const auto& violations = sanitizer_.violations();
  return {.verdict = verdict_,
          .violations = violations,
          .differences = lost,
          .settings_changed = false,
          .command = arguments_.supervisor.command,
          .machine = machine_.config().name,
          .status = status_,
          .exit = verdict_.is_broken(violations) ? arguments_.error_exit_code : status_};
}

bool Run::write_report(const rules::Ending& ending) {
  bool whole = true;
  for (std::size_t i = 0; i < outputs_.reports.size(); ++i) {
    const auto written = outputs_.reports[i].write(arguments_.reports[i].ends_with(".xml")
                                                       ? rules::ending_junit(ending)
                                                       : rules::ending_json(ending));
    if (!written) outputs_.say(fmt::format("teeio: {}\n", written.error()));
    whole = whole && written.has_value();
  }
  return whole;
}

bool Run::calls_are_whole(const run::Supervisor& supervisor) {
  if (supervisor.lost_words() != 0) outputs_.lose(supervisor.lost_words());
  if (supervisor.lost_calls() == 0) return true;
  if (outputs_.calls.ok())
    outputs_.say(lost_text(arguments_.call_log, supervisor.lost_calls()));
  else
    outputs_.lose(supervisor.lost_calls());
  return false;
}

/// Other tasks may be anywhere: only what the trace's lock guards is read.
void Run::internal_error(const std::string& what) {
  constexpr int kAborted = 128 + SIGABRT;  // as a shell has it
  const auto hold = machine_.trace().hold();
  outputs_.say(fmt::format("teeio: internal error: {}\n", what));
  status_ = kAborted;
  (void)write_report(ending({{.key = "teeio", .boot = "sound", .end = "internal error: " + what}}));
  report::RunInfo info = run_info(arguments_, machine_, sanitizer_.violations(), {});
  info.closing = "cut off by an internal error of teeio";
  show(info);
  outputs_.say("teeio: the run was cut off by an internal error of teeio, which aborts now\n");
}

int Run::go() noexcept {
  const InternalErrorScope scope([this](const std::string& what) { internal_error(what); });
  object::Trace& trace = machine_.trace();
  const bool judge = !arguments_.rules.all_off();
  if (judge) trace.add_sink(sanitizer_);
  trace.add_sink(explainer_);
  trace.keep_events(outputs_.pictures.wanted());

  const rules::Census boot = census_of(machine_);
  run::Options options = arguments_.supervisor;
  options.log_fd = outputs_.words();
  options.calls.fd = outputs_.calls.ok() ? outputs_.calls.get() : outputs_.words();
  options.witness = &story_;
  const bool injects = !arguments_.injections.empty();
  if (injects) options.injector = &injector_;
  schedule::set_fault_plan(injects ? &injector_ : nullptr);
  run::Supervisor supervisor(std::move(options), machine_.system_calls());
  status_ = supervisor.run();
  schedule::set_fault_plan(nullptr);
  trace.keep_events(false);
  machine_.shut_down();
  auto differences = rules::Census::compare(boot, census_of(machine_));
  auto lost = differences;
  std::erase_if(lost, rules::is_setting);
  if (judge) {
    sanitizer_.finish();
    sanitizer_.compare(lost);
  }
  const bool reported = !sanitizer_.violations().empty();
  show(run_info(arguments_, machine_, sanitizer_.violations(), differences));
  outputs_.say(rules::unused_text(verdict_.suppressions()));
  if (talks() && !reported && !differences.empty()) outputs_.say(rules::census_text(differences));
  if (reported) differences.clear();  // a report says it already
  rules::Ending end = ending(lost);
  end.settings_changed = differences.size() > lost.size();
  const bool badly = end.exit != 0 || reported;
  const std::string unfired = unfired_text(injector_);
  outputs_.say(unfired);
  outputs_.say(overtakings_text(injector_));
  // What was to be tried was not.
  if (!unfired.empty() && end.exit != arguments_.error_exit_code)
    end.exit = run::Supervisor::kCannotRun;
  explain(badly);
  const bool whole = calls_are_whole(supervisor);
  const bool written = write_report(end) && whole && outputs_.said;
  if (!written && end.exit == 0) end.exit = run::Supervisor::kCannotRun;
  const bool said = talks() || reported || !story_.refusals_text().empty() || story_.has_news() ||
                    verdict_.suppressions().used() != 0;
  if (said && (badly || talks() || verdict_.suppressions().used() != 0))
    outputs_.say(rules::last_line(end) + '\n');
  // What could not be said, the last line too, is a failure.
  if (outputs_.lost != 0 && outputs_.log.ok())
    complain_text(lost_text(arguments_.log, outputs_.lost));
  return outputs_.said || end.exit != 0 ? end.exit : run::Supervisor::kCannotRun;
}

}  // namespace

int run_program(const RunArguments& arguments) {
  const auto machine = load_machine(arguments.machine);
  if (machine == nullptr) return run::Supervisor::kCannotRun;
  if (const std::string why = why_not_here(arguments.injections, *machine); !why.empty())
    return wrong_use("run", why);
  auto suppressions = load_suppressions(arguments.suppressions);
  if (!suppressions) {
    complain_text(fmt::format("teeio: {}\n", suppressions.error()));
    return run::Supervisor::kCannotRun;
  }
  auto outputs = open_outputs(arguments);
  if (!outputs) return run::Supervisor::kCannotRun;
  if (arguments.supervisor.host_kvm) {
    if (const std::string why = host_kvm_problem(); !why.empty()) {
      complain_text(fmt::format("teeio: --host-kvm: {}\n", why));
      return run::Supervisor::kCannotRun;
    }
    machine->leave_kvm_to_host();
  }
  return Run(arguments, *machine, std::move(*outputs), std::move(*suppressions)).go();
}

}  // namespace teeio::cli
