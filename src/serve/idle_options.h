#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "crypto/signature.h"
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
  bool pcap = false;
};

/// The first option that would change nothing on the wire beside the others, or that another one
/// of its kind takes the place of, and why, ready to print; empty: there is none.
[[nodiscard]] std::string why_idle(const SpeakerOptions& options, const NamedOptions& named);

/// Why no requester can come to use a key of this type, beside what options say of versions and
/// algorithms, ready to print; empty: some can.
[[nodiscard]] std::string why_idle_key(const SpeakerOptions& options, crypto::KeyType type);

}  // namespace teeio::serve
