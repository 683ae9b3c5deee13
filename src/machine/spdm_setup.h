#pragma once

#include "device/dsm_spdm.h"
#include "machine/config.h"
#include "spdm/channel_setup.h"

namespace teeio::machine {

/// How a card of that machine speaks SPDM. It offers HANDSHAKE_IN_THE_CLEAR where the firmware
/// has no session without (rmm_defects).
[[nodiscard]] device::DsmSpdm card_spdm(const CardConfig& card, const Config& config);

/// What the machine's firmware wants of every card: sessions, unless all cards that
/// could have one are plain. It takes whatever algorithms a card chooses, and
/// messages that fit a page.
[[nodiscard]] spdm::ChannelSetup firmware_channels(const Config& config);

}  // namespace teeio::machine
