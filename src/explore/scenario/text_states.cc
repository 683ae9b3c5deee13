// Whether the names of a scenario are the machine's: what a typing error names never holds,
// and would be found at the end of the first schedule only.

#include <fmt/format.h>

#include <algorithm>

#include "base/nearest.h"
#include "explore/scenario/text.h"
#include "explore/scenario/text_calls.h"
#include "machine/machine.h"
#include "machine/state_values.h"
#include "machine/vendors.h"

namespace teeio::explore {
namespace {

/// "TDI state of " of "TDI state of 0000:01:00.0"; empty if it is no function's.
std::string_view kind_of_state(std::string_view name) {
  constexpr std::string_view kOf = " of ";
  const std::size_t at = name.rfind(kOf);
  if (at == std::string_view::npos || !Bdf::parse(name.substr(at + kOf.size()))) return {};
  return name.substr(0, at + kOf.size());
}

/// Functions come and go, so that a kind of state is enough.
bool may_have(const std::vector<std::string>& known, std::string_view name) {
  const std::string_view kind = kind_of_state(name);
  return std::ranges::any_of(known, [&](const std::string& one) {
    return one == name || (!kind.empty() && one.starts_with(kind));
  });
}

/// The calls that look at a state.
std::vector<const TextStep*> looks_of(const TextScenario& scenario) {
  std::vector<const TextStep*> looks;
  for (const auto* parts : {&scenario.setup, &scenario.threads, &scenario.finish})
    for (const TextPart& part : *parts)
      for (const TextStep& step : part.steps)
        if (step.call->looks_at_state) looks.push_back(&step);
  return looks;
}

std::string or_all(const std::string& name, const std::vector<std::string>& known) {
  const std::string near = nearest(name, known);
  return near.empty() ? fmt::format("there are {}", fmt::join(known, ", "))
                      : fmt::format("is it `{}`?", near);
}

/// The commands of the machine's firmware that a schedule can let fail.
std::vector<std::string> failing_commands(const machine::Machine& machine,
                                          const machine::Config& design) {
  const auto vendor = std::ranges::find(machine::vendors(), design.tsm, &machine::Vendor::kind);
  const bool asked = vendor != machine::vendors().end() && vendor->failing != nullptr;
  std::vector<std::string> names;
  for (const std::string_view name :
       asked ? vendor->failing(design) : machine.fault_names(schedule::FaultPlace::kFirmware))
    if (std::ranges::find(names, name) == names.end()) names.emplace_back(name);
  return names;
}

/// What is wrong with a look at a state; empty: nothing.
std::string why_never(const TextStep& look, const std::vector<std::string>& states,
                      const std::string& design) {
  const std::string& name = look.texts[0];
  if (!may_have(states, name))
    return fmt::format("no machine of {} has a state `{}`; {}", design, name, or_all(name, states));
  if (const auto can = machine::check_state_value(name, look.texts[1]); !can)
    return fmt::format("`{}` is never `{}`; it is {}", name, look.texts[1], can.error());
  return {};
}

std::string why_never_fails(const std::string& command, const machine::Machine& machine,
                            const machine::Config& design) {
  const std::vector<std::string> known = failing_commands(machine, design);
  if (std::ranges::find(known, command) != known.end()) return {};
  const auto all = machine.fault_names(schedule::FaultPlace::kFirmware);
  if (std::ranges::find(all, command) != all.end())
    return fmt::format("{} of {} never fails, as far as schedules go; there are {}", command,
                       design.name, fmt::join(known, ", "));
  return fmt::format("no firmware of {} has a command `{}` that can fail; {}", design.name, command,
                     or_all(command, known));
}

}  // namespace

std::expected<void, std::string> check_names(const TextScenario& scenario,
                                             const machine::Config& design,
                                             const std::string& file_name) {
  const std::vector<const TextStep*> looks = looks_of(scenario);
  if (looks.empty() && scenario.fails.empty()) return {};
  const auto machine = machine::Machine::create(machine_of(scenario, design));
  if (!machine) return {};  // said where it is run
  std::vector<std::string> states;
  for (const auto& [name, value] : (*machine)->census()) states.push_back(name);
  for (const TextStep* look : looks)
    if (const std::string why = why_never(*look, states, design.name); !why.empty())
      return std::unexpected(fmt::format("{}:{}: {}", file_name, look->line, why));
  if (scenario.fails.empty()) return {};
  if (const std::string why = why_never_fails(scenario.fails, **machine, design); !why.empty())
    return std::unexpected(fmt::format("{}:{}: fail: {}", file_name, scenario.fails_line, why));
  return {};
}

}  // namespace teeio::explore
