#include "machine/spdm_setup.h"

#include <algorithm>

#include "wire/spdm_capabilities.h"

namespace teeio::machine {
namespace {

/// A message page less the DOE header and what a secured message adds.
constexpr std::uint32_t kMessageBytes = 0xf00;

constexpr std::uint8_t kVersions[] = {0x10, 0x11, 0x12, 0x13, 0x14};

std::vector<std::uint8_t> versions(std::uint8_t first, std::uint8_t last) {
  std::vector<std::uint8_t> list;
  for (const std::uint8_t version : kVersions)
    if (version >= first && version <= last) list.push_back(version);
  return list;
}

}  // namespace

device::DsmSpdm card_spdm(const CardConfig& card, const Config& config) {
  device::DsmSpdm spdm;
  spdm.sessions = card.spdm == SpdmChannel::kSession;
  const bool p256 = card.spdm_key == SpdmKey::kP256;
  spdm.key_type = p256 ? crypto::KeyType::kP256 : crypto::KeyType::kP384;
  spdm.settings.algorithms = p256 ? spdm::Algorithms::p256() : spdm::Algorithms::cnsa();
  spdm.settings.versions = versions(kVersions[0], card.spdm_version);
  if (config.rmm_defects)
    spdm.settings.flags = spdm::default_responder_flags() | wire::kSpdmCapHandshakeInTheClear;
  return spdm;
}

spdm::ChannelSetup firmware_channels(const Config& config) {
  spdm::ChannelSetup setup;
  setup.sessions = std::ranges::any_of(config.cards, [](const CardConfig& card) {
    return card.is_tee_io() && card.spdm == SpdmChannel::kSession;
  });
  setup.settings.versions = versions(kVersions[0], kVersions[std::size(kVersions) - 1]);
  setup.settings.algorithms = spdm::Algorithms::all();
  setup.settings.data_transfer_size = kMessageBytes;
  setup.settings.max_message_size = kMessageBytes;
  return setup;
}

}  // namespace teeio::machine
