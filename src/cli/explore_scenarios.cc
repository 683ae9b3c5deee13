#include "cli/explore_scenarios.h"

#include <fnmatch.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/nearest.h"
#include "base/types.h"
#include "explore/scenario/catalogue.h"
#include "explore/scenario/designs.h"
#include "explore/scenario/pairs.h"
#include "explore/scenario/text.h"
#include "machine/config.h"
#include "machine/tsm_kind.h"

namespace teeio::cli {
namespace {

using explore::Scenario;
using Designs = std::vector<machine::Config>;

/// A pipe, too: <(…) of a shell.
bool is_file(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode);
}

/// Whether a machine has what the built-in scenarios take for granted: a TSM, and behind root
/// port 0000:00:01.0 a DMA-engine card 0000:01:00.0 with two VFs, all with vfio-pci at boot.
bool is_stage(const machine::Config& design) {
  using machine::CardConfig;
  constexpr Bdf kPort{.bus = 0, .device = 1, .function = 0};
  constexpr Bdf kCard{.bus = 1, .device = 0, .function = 0};
  const bool has_port = std::ranges::any_of(design.root_ports, [&](const auto& port) {
    return port.bdf == kPort && port.bus == kCard.bus;
  });
  const auto card = std::ranges::find(design.cards, kCard, &CardConfig::bdf);
  return design.tsm != machine::TsmKind::kNone && has_port && card != design.cards.end() &&
         card->model == CardConfig::Model::kDmaEngine && card->vfs >= 2 &&
         card->driver == CardConfig::Driver::kVfio && card->vf_driver == CardConfig::Driver::kVfio;
}

/// Built-in scenarios whose name, or name and design, fits `pattern`; the same
/// with a group's name for all of the group.
bool fits(const std::string& pattern, const explore::MachineScenario& scenario,
          const std::string& design) {
  const std::string whole = scenario.name + '@' + design;
  return ::fnmatch(pattern.c_str(), scenario.name.c_str(), 0) == 0 ||
         ::fnmatch(pattern.c_str(), whole.c_str(), 0) == 0 ||
         scenario.name.starts_with(pattern + '/');
}

/// Why nothing fits `pattern`: its scenarios are of other designs, or it is the name of none.
std::string why_nothing(const std::string& pattern, const Designs& designs) {
  std::error_code ignored;
  if (std::filesystem::is_directory(pattern, ignored))
    return pattern + ": Is a directory: scenario files are named one by one";
  const std::string name = pattern.substr(0, pattern.find('@'));
  std::vector<std::string> known, on;
  for (const machine::Config& design : designs) on.push_back(design.name);
  for (const explore::MachineScenario& scenario : explore::catalogue()) {
    if (fits(name, scenario, ""))
      return "no scenario of '" + pattern + "' is for " + any_of(on) + "; --list prints the names";
    known.push_back(scenario.name);
  }
  const std::string near = nearest(name, known);
  return "no scenario and no file is called '" + pattern +
         (near.empty() ? "'; --list prints the names" : "'; is it '" + near + "'?");
}

}  // namespace

std::expected<Designs, std::string> find_designs(const ExploreArguments& arguments) {
  if (!arguments.machine.empty()) {
    auto config = machine::find_config(arguments.machine);
    if (!config) return std::unexpected(config.error());
    config->guest_code = false;
    return Designs{std::move(*config)};
  }
  const auto all = explore::default_designs();
  if (arguments.design.empty()) return Designs(all.begin(), all.end());
  auto named = explore::parse_design(arguments.design);
  if (!named) return std::unexpected("--design " + arguments.design + ": " + named.error());
  return Designs{std::move(*named)};
}

std::expected<std::vector<Scenario>, std::string> find_scenarios(
    const ExploreArguments& arguments) {
  const auto designs = find_designs(arguments);
  if (!designs) return std::unexpected(designs.error());
  std::vector<Scenario> found;
  std::vector<std::string> patterns;
  for (const std::string& wanted : arguments.wanted) {
    if (!is_file(wanted)) {
      patterns.push_back(wanted);
      continue;
    }
    const auto text = explore::load_text_scenario(wanted);
    if (!text) return std::unexpected(text.error());
    const std::size_t before = found.size();
    for (const machine::Config& design : *designs)
      if (explore::applies(*text, design)) {
        if (auto known = explore::check_names(*text, design, wanted); !known)
          return std::unexpected(std::move(known.error()));
        found.push_back(explore::make_scenario(*text, design));
        found.back().file = wanted;
      }
    if (found.size() == before)
      return std::unexpected(wanted + ": its `firmware` is that of no design it would run on");
  }
  if (arguments.wanted.empty()) patterns.emplace_back("*");
  // A scenario of the user's needs what it names, and no more.
  if (!patterns.empty() && !arguments.machine.empty() && !is_stage(designs->front()))
    return std::unexpected(
        arguments.machine +
        ": the built-in scenarios need a TSM and, behind root port 0000:00:01.0, a dma-engine "
        "0000:01:00.0 with two VFs, each with vfio-pci; a scenario file of your own needs what it "
        "names");
  std::vector<bool> used(patterns.size(), false);
  const auto pick = [&](const explore::MachineScenario& scenario) {
    for (const machine::Config& design : *designs) {
      if (!explore::applies(scenario, design)) continue;
      bool wanted = false;
      for (std::size_t i = 0; i < patterns.size(); ++i)
        if (fits(patterns[i], scenario, design.name)) wanted = used[i] = true;
      if (wanted) found.push_back(explore::make_scenario(scenario, design));
    }
  };
  for (const explore::MachineScenario& scenario : explore::catalogue()) pick(scenario);
  // Too many for who names no pair.
  if (std::ranges::any_of(patterns, [](const auto& p) { return p.starts_with("pair"); }))
    for (const explore::MachineScenario& scenario : explore::pairs()) pick(scenario);
  for (std::size_t i = 0; i < patterns.size(); ++i)
    if (!used[i]) return std::unexpected(why_nothing(patterns[i], *designs));
  return found;
}

}  // namespace teeio::cli
