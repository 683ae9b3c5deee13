#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "serve/platform_message.h"
#include "serve/speaker.h"

namespace teeio::serve {

/// What the command line named that is not in SpeakerOptions, or no more.
struct NamedOptions {
  std::uint32_t capabilities = 0;  ///< of wire::SpdmCap: named, not the default's
  bool shared_chain = false;       ///< --chain
  std::uint8_t single_slots = 0;   ///< of --slot, a bit each
  std::optional<PlatformTransport> transport;
  bool state_file = false;  ///< --load-state or --save-state
};

/// The first option that would change nothing on the wire beside the others, and why, ready to
/// print; empty: there is none.
[[nodiscard]] std::string why_idle(const SpeakerOptions& options, const NamedOptions& named);

}  // namespace teeio::serve
