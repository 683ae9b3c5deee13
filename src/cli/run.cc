#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/files.h"
#include "cli/commands.h"
#include "cli/load_machine.h"
#include "cli/run_command.h"
#include "report/chart.h"
#include "report/json.h"
#include "report/summary.h"
#include "rules/sanitizer.h"

namespace teeio::cli {
namespace {

using Rules = RunArguments::Rules;

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

/// Whether all that the user asked for was written.
bool g_said = true;  // NOLINT: of the one thread that reports

void say(const std::string& text) { g_said = complain_text(text) && g_said; }

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

/// Pictures of the run, and, when the user asked for any words at all, whether
/// the machine is as it was.
void show(const RunArguments& arguments, const object::Trace& trace,
          std::optional<OutputFile>& trace_file,
          const std::vector<rules::Census::Difference>& differences) {
  if (arguments.chart) {
    say(report::draw_chart(report::chart_steps(trace.events()), chart_options()));
    say(report::summary_text(report::summarize(trace.events())));
  }
  if (trace_file)
    if (const auto done = trace_file->write(report::chrome_trace(trace.events())); !done) {
      say(fmt::format("teeio: {}\n", done.error()));
      g_said = false;
    }
  if (arguments.chart || arguments.supervisor.trace_calls) say(rules::census_text(differences));
}

}  // namespace

int run_program(const RunArguments& arguments) {
  const auto machine = load_machine(arguments.machine);
  if (machine == nullptr) return run::Supervisor::kCannotRun;
  std::optional<OutputFile> trace_file;
  if (!arguments.trace.empty()) {
    auto file = OutputFile::open(arguments.trace);
    if (!file) {
      say(fmt::format("teeio: {}\n", file.error()));
      return run::Supervisor::kCannotRun;
    }
    trace_file.emplace(std::move(*file));
  }
  if (arguments.supervisor.host_kvm) machine->leave_kvm_to_host();

  rules::Sanitizer sanitizer(
      rules::teardown_order(tsm_name(machine->config().tsm)),
      [](const rules::Violation& violation) { say(rules::violation_text(violation)); });
  const bool judge = arguments.rules != Rules::kOff;
  if (judge) machine->trace().add_sink(sanitizer);
  machine->trace().keep_events(arguments.chart || trace_file.has_value());

  const rules::Census boot = census_of(*machine);
  const int status = run::Supervisor(arguments.supervisor, machine->system_calls()).run();
  machine->trace().keep_events(false);
  machine->shut_down();
  const auto differences = rules::Census::compare(boot, census_of(*machine));
  if (judge) {
    sanitizer.finish();
    auto lost = differences;
    std::erase_if(lost, is_setting);
    sanitizer.compare(lost);
  }
  show(arguments, machine->trace(), trace_file, differences);
  const bool broken = arguments.rules == Rules::kError && !sanitizer.violations().empty();
  if (broken) return arguments.error_exit_code;
  return g_said || status != 0 ? status : run::Supervisor::kCannotRun;
}

}  // namespace teeio::cli
