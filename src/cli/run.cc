#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/files.h"
#include "cli/commands.h"
#include "cli/load_machine.h"
#include "cli/pictures.h"
#include "cli/run_command.h"
#include "rules/sanitizer.h"

namespace teeio::cli {
namespace {

using Rules = RunArguments::Rules;

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
  for (const auto& [rule, count] : counts) info.closing += fmt::format(" {} ×{}", rule, count);
  return info;
}

}  // namespace

int run_program(const RunArguments& arguments) {
  const auto machine = load_machine(arguments.machine);
  if (machine == nullptr) return run::Supervisor::kCannotRun;
  auto pictures = Pictures::open(arguments.pictures);
  if (!pictures) return run::Supervisor::kCannotRun;
  if (arguments.supervisor.host_kvm) machine->leave_kvm_to_host();

  rules::Sanitizer sanitizer(
      rules::teardown_order(tsm_name(machine->config().tsm)),
      [](const rules::Violation& violation) { say(rules::violation_text(violation)); });
  const bool judge = arguments.rules != Rules::kOff;
  if (judge) machine->trace().add_sink(sanitizer);
  machine->trace().keep_events(pictures->wanted());

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
  const report::RunInfo info = run_info(arguments, *machine, sanitizer.violations(), differences);
  const bool drawn = pictures->draw(machine->trace().events(), info);
  say(chart_hint(arguments.pictures, info.broken));
  if (!arguments.pictures.chart.empty() || arguments.supervisor.trace_calls)
    say(rules::census_text(differences));
  const bool broken = arguments.rules == Rules::kError && !sanitizer.violations().empty();
  if (broken) return arguments.error_exit_code;
  return (drawn && g_said) || status != 0 ? status : run::Supervisor::kCannotRun;
}

}  // namespace teeio::cli
