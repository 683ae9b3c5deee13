#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>

#include "cli/commands.h"
#include "cli/internal_error.h"
#include "cli/load_machine.h"
#include "cli/output_file.h"
#include "cli/run_command.h"
#include "cli/run_story.h"
#include "report/chart.h"
#include "report/json.h"
#include "report/summary.h"
#include "rules/sanitizer.h"
#include "rules/verdict.h"

namespace teeio::cli {
namespace {

constexpr std::size_t kChartWidth = 120;  ///< columns where nothing says another width

std::string_view tsm_name(machine::TsmKind kind) {
  switch (kind) {
    case machine::TsmKind::kNone:
      return "none";
    case machine::TsmKind::kTdx:
      return "tdx";
    case machine::TsmKind::kCca:
      return "cca";
  }
  return "none";
}

/// stderr is a terminal: its width, and colours unless NO_COLOR forbids them.
report::ChartOptions chart_options() {
  report::ChartOptions options{.colour = false, .width = kChartWidth};
  if (::isatty(STDERR_FILENO) == 0) return options;
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > kChartWidth)
    options.width = size.ws_col;
  options.colour = std::getenv("NO_COLOR") == nullptr;  // NOLINT(concurrency-mt-unsafe)
  return options;
}

rules::Census census_of(machine::Machine& machine) {
  rules::Census census;
  for (const auto& [key, value] : machine.census()) census.set(key, value);
  return census;
}

/// A program may leave these changed, as on any machine: it wrote them itself
/// (setpci, driver_override). What belongs to a function that it removed is gone.
bool is_setting(const rules::Census::Difference& difference) {
  return difference.key.starts_with("driver of ") ||
         difference.key.starts_with("command register of ") || difference.end == "absent";
}

std::expected<rules::Suppressions, std::string> load_suppressions(
    const std::vector<std::string>& paths) {
  rules::Suppressions suppressions;
  for (const std::string& path : paths) {
    std::ifstream file(path);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    if (!file) return std::unexpected(path + " cannot be read");
    TEEIO_TRY(suppressions.add(text, path));
  }
  return suppressions;
}

/// What a run writes besides the program: opened before it starts.
struct Outputs {
  OutputFile trace, report, log;
  [[nodiscard]] int words() const { return log ? log.fd() : STDERR_FILENO; }
  void say(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t done = ::write(words(), text.data(), text.size());
      if (done <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(done));
    }
  }
};

std::expected<Outputs, std::string> open_outputs(const RunArguments& arguments) {
  Outputs outputs;
  TEEIO_ASSIGN(outputs.trace, OutputFile::open(arguments.trace));
  TEEIO_ASSIGN(outputs.report, OutputFile::open(arguments.report));
  TEEIO_ASSIGN(outputs.log, OutputFile::open(arguments.log));
  return outputs;
}

/// One run, from the machine at boot to the last line.
class Run {
 public:
  Run(const RunArguments& arguments, machine::Machine& machine, Outputs outputs,
      rules::Suppressions suppressions);
  /// Gives the exit status.
  int go();

 private:
  void report(const rules::Violation& violation);
  /// The picture, then what was held back for it.
  void show(const std::vector<rules::Census::Difference>& differences);
  void explain(bool badly);
  /// The files; false when one is incomplete, which is said.
  bool write_files(const rules::Ending& ending);
  void internal_error(const std::string& what);
  [[nodiscard]] rules::Ending ending(const std::vector<rules::Census::Difference>& lost) const;
  [[nodiscard]] bool talks() const {
    return arguments_.chart || arguments_.supervisor.trace_calls || arguments_.why;
  }

  const RunArguments& arguments_;
  machine::Machine& machine_;
  Outputs outputs_;
  rules::Verdict verdict_;
  report::Explainer explainer_;
  RunStory story_{explainer_};
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
      sanitizer_(
          rules::teardown_order(tsm_name(machine.config().tsm)),
          [this](const rules::Violation& violation) { report(violation); },
          [this](const rules::Violation& violation) { return verdict_.admits(violation); }) {}

void Run::report(const rules::Violation& violation) {
  const std::string text = rules::violation_text(violation);
  if (arguments_.chart)
    held_ += text;
  else
    outputs_.say(text);
}

void Run::show(const std::vector<rules::Census::Difference>& differences) {
  const auto& events = machine_.trace().events();
  if (arguments_.chart) {
    outputs_.say(report::draw_chart(report::chart_steps(events), chart_options()));
    outputs_.say(report::summary_text(report::summarize(events)));
  }
  outputs_.say(held_);
  outputs_.say(rules::unused_text(verdict_.suppressions()));
  if (talks() && !differences.empty()) outputs_.say(rules::census_text(differences));
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

bool Run::write_files(const rules::Ending& ending) {
  bool complete = true;
  const auto check = [&](const std::expected<void, std::string>& written) {
    if (!written) outputs_.say(fmt::format("teeio: {}\n", written.error()));
    complete = complete && written.has_value();
  };
  if (outputs_.trace) check(outputs_.trace.write(report::chrome_trace(machine_.trace().events())));
  if (outputs_.report)
    check(outputs_.report.write(arguments_.report.ends_with(".xml") ? rules::ending_junit(ending)
                                                                    : rules::ending_json(ending)));
  return complete;
}

/// Other tasks may be anywhere: only what the trace's lock guards is read.
void Run::internal_error(const std::string& what) {
  const auto hold = machine_.trace().hold();
  outputs_.say(fmt::format("teeio: internal error: {}\n", what));
  show({});
  status_ = run::Supervisor::kCannotRun;
  const std::vector<rules::Census::Difference> unknown{
      {.key = "teeio", .boot = "sound", .end = "internal error: " + what}};
  (void)write_files(ending(unknown));
  outputs_.say(fmt::format("{}; aborted by an internal error of teeio\n",
                           rules::last_line(ending(unknown))));
}

int Run::go() {
  const InternalErrorScope scope([this](const std::string& what) { internal_error(what); });
  object::Trace& trace = machine_.trace();
  const bool judge = !arguments_.rules.all_off();
  if (judge) trace.add_sink(sanitizer_);
  trace.add_sink(explainer_);
  trace.keep_events(arguments_.chart || outputs_.trace);

  const rules::Census boot = census_of(machine_);
  run::Options options = arguments_.supervisor;
  options.log_fd = outputs_.words();
  options.witness = &story_;
  status_ = run::Supervisor(std::move(options), machine_.system_calls()).run();
  trace.keep_events(false);
  machine_.shut_down();
  auto differences = rules::Census::compare(boot, census_of(machine_));
  auto lost = differences;
  std::erase_if(lost, is_setting);
  if (judge) {
    sanitizer_.finish();
    sanitizer_.compare(lost);
  }
  // A report says it already.
  const bool reported = !sanitizer_.violations().empty();
  if (reported) differences.clear();
  show(differences);
  rules::Ending end = ending(lost);
  end.settings_changed = differences.size() > lost.size();
  const bool badly = end.exit != 0 || reported;
  explain(badly);
  if (!write_files(end) && end.exit == 0) end.exit = run::Supervisor::kCannotRun;
  const bool said = talks() || reported || !story_.refusals_text().empty() || story_.has_news() ||
                    verdict_.suppressions().used() != 0;
  if (said && (badly || talks() || verdict_.suppressions().used() != 0))
    outputs_.say(rules::last_line(end) + '\n');
  return end.exit;
}

}  // namespace

int run_program(const RunArguments& arguments) {
  const auto cannot = [](const std::string& why) {
    (void)std::fprintf(stderr, "teeio: %s\n", why.c_str());
    return run::Supervisor::kCannotRun;
  };
  const auto machine = load_machine(arguments.machine);
  if (machine == nullptr) return run::Supervisor::kCannotRun;
  auto suppressions = load_suppressions(arguments.suppressions);
  if (!suppressions) return cannot(suppressions.error());
  auto outputs = open_outputs(arguments);
  if (!outputs) return cannot(outputs.error());
  if (arguments.supervisor.host_kvm) machine->leave_kvm_to_host();
  return Run(arguments, *machine, std::move(*outputs), std::move(*suppressions)).go();
}

}  // namespace teeio::cli
