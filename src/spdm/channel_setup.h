#pragma once

#include <memory>

#include "spdm/channel.h"
#include "spdm/settings.h"

namespace teeio::spdm {

class Observer;

/// What firmware wants of the devices that it talks to.
struct ChannelSetup {
  bool sessions = false;  ///< false: the plain channel
  bool patient = false;   ///< see make_session_requester()
  Settings settings{};    ///< the transport is DOE whatever it says
};
/// Firmware's end of a channel. `observer` (or nullptr) outlives it.
[[nodiscard]] std::unique_ptr<RequesterChannel> make_requester(const ChannelSetup& setup,
                                                               Observer* observer);

}  // namespace teeio::spdm
