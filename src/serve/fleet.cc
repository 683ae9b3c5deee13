#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "serve/served_device.h"

namespace teeio::serve {

std::expected<Fleet, std::string> Fleet::load(const std::string& machine,
                                              const std::vector<Bdf>& functions,
                                              const SpeakerOptions& options, KeyLog& key_log) {
  const auto config = machine::find_config(machine);
  if (!config) return std::unexpected(config.error());
  std::vector<const machine::CardConfig*> cards;
  for (const machine::CardConfig& card : config->cards)
    if (card.is_tee_io()) cards.push_back(&card);
  for (const Bdf function : functions)
    if (std::ranges::none_of(cards, [&](const auto* card) { return card->has(function); }))
      return std::unexpected(
          fmt::format("{}: no TEE-I/O card has function {}", config->name, function.str()));
  Fleet fleet;
  for (const machine::CardConfig* card : cards) {
    if (!functions.empty() &&
        std::ranges::none_of(functions, [&](Bdf function) { return card->has(function); }))
      continue;
    for (const IdeStreamSetup& setup : options.ide_streams)
      if (const std::string why = why_no_stream(*card, setup); !why.empty())
        return std::unexpected(fmt::format("{}: {}", config->name, why));
    fleet.devices_.push_back(std::make_unique<ServedDevice>(*card, options, key_log));
  }
  if (fleet.devices_.empty())
    return std::unexpected(fmt::format("{}: the machine has no TEE-I/O card", config->name));
  return fleet;
}

ServedDevice* Fleet::find(Bdf function) const {
  for (const auto& device : devices_)
    if (device->function(function) != nullptr) return device.get();
  return nullptr;
}

std::expected<std::vector<std::size_t>, std::string> Fleet::replace(Fleet next) {
  if (next.size() != size())
    return std::unexpected(
        fmt::format("{} devices are served, the file now has {}", size(), next.size()));
  for (std::size_t i = 0; i < size(); ++i)
    if (next.at(i).bdf() != at(i).bdf())
      return std::unexpected(fmt::format("device {} of the file is now {}, {} is served", i,
                                         next.at(i).bdf().str(), at(i).bdf().str()));
  std::vector<std::size_t> replaced;
  for (std::size_t i = 0; i < size(); ++i) {
    if (next.at(i).card() == at(i).card()) continue;
    devices_[i] = std::move(next.devices_[i]);
    replaced.push_back(i);
  }
  return replaced;
}

}  // namespace teeio::serve
