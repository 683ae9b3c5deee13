#include "explore/scenario/catalogue.h"

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "explore/scenario/themes.h"

namespace teeio::explore {
namespace {

using machine::Config;

/// The built-in machine of a firmware with what no scenario needs left out: the
/// ordinary card, guest code, sessions.
Config smallest(std::string_view builtin, std::string name) {
  auto parsed = machine::parse_config(machine::builtin_machine(builtin), builtin);
  TEEIO_CHECK(parsed.has_value(), "a built-in machine file cannot be read");
  Config config = std::move(*parsed);
  config.name = std::move(name);
  config.guest_code = false;
  constexpr std::uint64_t kMemoryBytes = std::uint64_t{64} << 20U;
  config.memory_bytes = kMemoryBytes;
  config.hkids = 3;
  std::erase_if(config.cards, [](const machine::CardConfig& card) {
    return card.model == machine::CardConfig::Model::kPlain;
  });
  std::erase_if(config.root_ports, [&](const machine::RootPortConfig& port) {
    return std::ranges::none_of(config.cards, [&](const auto& c) { return c.bdf.bus == port.bus; });
  });
  constexpr std::uint64_t kCardBytes = std::uint64_t{64} << 10U;
  for (machine::CardConfig& card : config.cards) {
    card.spdm = machine::SpdmChannel::kPlain;
    card.memory_bytes = kCardBytes;  // bind sets up each page
  }
  return config;
}

}  // namespace

std::span<const MachineScenario> catalogue() {
  static const std::vector<MachineScenario> kAll = [] {
    std::vector<MachineScenario> all;
    add_close_scenarios(all);
    add_against_scenarios(all);
    add_twice_scenarios(all);
    add_mmio_scenarios(all);
    add_ending_scenarios(all);
    add_dma_buf_scenarios(all);
    add_guest_memory_scenarios(all);
    add_dma_scenarios(all);
    add_one_card_scenarios(all);
    add_vdevice_scenarios(all);
    add_group_scenarios(all);
    add_bus_scenarios(all);
    add_sriov_scenarios(all);
    add_request_scenarios(all);
    add_low_power_scenarios(all);
    add_queue_scenarios(all);
    add_interrupt_scenarios(all);
    add_ioeventfd_scenarios(all);
    add_adversary_scenarios(all);
    add_meddling_scenarios(all);
    add_key_scenarios(all);
    add_invalidation_scenarios(all);
    add_translation_scenarios(all);
    add_private_page_scenarios(all);
    add_known_scenarios(all);
    return all;
  }();
  return kAll;
}

std::span<const Config> default_designs() {
  static const std::vector<Config> kDesigns = {
      smallest("tdx-connect", "tdx"), smallest("arm-cca-slice", "cca"), smallest("amd-sev", "sev")};
  return kDesigns;
}

Config with_second_card(const Config& design) {
  Config two = design;
  constexpr std::uint8_t kBus = 9;
  constexpr std::uint64_t kAbove = 0x1'0000'0000;
  machine::RootPortConfig port = two.root_ports.front();
  port.bdf.device = 9;
  port.bus = kBus;
  port.window = port.window + kAbove;
  machine::CardConfig card = two.cards.front();
  card.bdf.bus = kBus;
  card.window = card.window + kAbove;
  ++card.serial;
  two.root_ports.push_back(port);
  two.cards.push_back(card);
  return two;
}

bool applies(const MachineScenario& scenario, const Config& design) {
  if (!scenario.firmware.empty() &&
      std::ranges::find(scenario.firmware, design.tsm) == scenario.firmware.end())
    return false;
  return !scenario.fits || scenario.fits(design);
}

Scenario make_scenario(const MachineScenario& scenario, const Config& design) {
  Scenario made;
  made.name = scenario.name + "@" + design.name;
  made.description = scenario.description;
  if (scenario.noting.body) {
    made.answers = std::make_shared<Answers>(scenario.noting.calls(design));
    made.body = [body = scenario.noting.body, design, answers = made.answers] {
      body(design, *answers);
    };
  } else {
    made.body = [body = scenario.body, design] { body(design); };
  }
  made.goes_back = true;
  made.limits = scenario.limits;
  made.failures = scenario.failures;
  made.expectation = scenario.expectation;
  made.kept = scenario.kept;
  return made;
}

}  // namespace teeio::explore
