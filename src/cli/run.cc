#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

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

struct CloseFile {
  void operator()(std::FILE* file) const { (void)std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

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

void say(const std::string& text) { (void)std::fwrite(text.data(), 1, text.size(), stderr); }

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
void show(const RunArguments& arguments, const object::Trace& trace, std::FILE* trace_file,
          const std::vector<rules::Census::Difference>& differences) {
  if (arguments.chart) {
    say(report::draw_chart(report::chart_steps(trace.events()), chart_options()));
    say(report::summary_text(report::summarize(trace.events())));
  }
  if (trace_file != nullptr) {
    const std::string json = report::chrome_trace(trace.events());
    if (std::fwrite(json.data(), 1, json.size(), trace_file) != json.size())
      say(fmt::format("teeio: {} is incomplete\n", arguments.trace));
  }
  if (arguments.chart || arguments.supervisor.trace_calls) say(rules::census_text(differences));
}

}  // namespace

int run_program(const RunArguments& arguments) {
  const auto machine = load_machine(arguments.machine);
  if (machine == nullptr) return run::Supervisor::kCannotRun;
  File trace_file;
  if (!arguments.trace.empty()) {
    trace_file.reset(std::fopen(arguments.trace.c_str(), "we"));
    if (trace_file == nullptr) {
      say(fmt::format("teeio: {} cannot be written\n", arguments.trace));
      return run::Supervisor::kCannotRun;
    }
  }
  if (arguments.supervisor.host_kvm) machine->leave_kvm_to_host();

  rules::Sanitizer sanitizer(
      rules::teardown_order(machine->config().tsm.name),
      [](const rules::Violation& violation) { say(rules::violation_text(violation)); });
  const bool judge = arguments.rules != Rules::kOff;
  if (judge) machine->trace().add_sink(sanitizer);
  machine->trace().keep_events(arguments.chart || trace_file != nullptr);

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
  show(arguments, machine->trace(), trace_file.get(), differences);
  const bool broken = arguments.rules == Rules::kError && !sanitizer.violations().empty();
  return broken ? arguments.error_exit_code : status;
}

}  // namespace teeio::cli
