// Whether the names of a scenario are the machine's: what a typing error names never holds,
// and would be found at the end of the first schedule only.

#include <fmt/format.h>

#include <algorithm>

#include "base/nearest.h"
#include "explore/scenario/text.h"
#include "explore/scenario/text_calls.h"
#include "machine/machine.h"

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

}  // namespace

std::expected<void, std::string> check_names(const TextScenario& scenario,
                                             const machine::Config& design,
                                             const std::string& file_name) {
  const std::vector<const TextStep*> looks = looks_of(scenario);
  if (looks.empty() && scenario.fails.empty()) return {};
  const auto machine = machine::Machine::create(machine_of(scenario, design));
  if (!machine) return {};  // said where it is run
  std::vector<std::string> states, commands;
  for (const auto& [name, value] : (*machine)->census()) states.push_back(name);
  for (const TextStep* look : looks)
    if (const std::string& name = look->texts.front(); !may_have(states, name))
      return std::unexpected(fmt::format("{}:{}: no machine of {} has a state `{}`; {}", file_name,
                                         look->line, design.name, name, or_all(name, states)));
  for (const std::string_view name : (*machine)->fault_names(schedule::FaultPlace::kFirmware))
    commands.emplace_back(name);
  if (scenario.fails.empty() || std::ranges::find(commands, scenario.fails) != commands.end())
    return {};
  return std::unexpected(fmt::format("{}: fail: no firmware of {} has a command `{}`; {}",
                                     file_name, design.name, scenario.fails,
                                     or_all(scenario.fails, commands)));
}

}  // namespace teeio::explore
