#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>

#include "base/bytes.h"
#include "base/result.h"
#include "spdm/channel.h"
#include "wire/tdisp_messages.h"

namespace teeio::sev {

/// A message for a device, and what its answer does.
struct Exchange {
  wire::Protocol protocol;
  Bytes request;
  std::function<Result<void>(ByteView answer)> take;
};

/// What one command has to say to a device, data object by data object.
///
/// Locking: the platform's mutex.
class Conversation {
 public:
  /// What the channel itself does: connect or measure before the script, disconnect after.
  enum class Channel : std::uint8_t { kNothing, kConnect, kMeasure, kDisconnect };

  explicit Conversation(std::deque<Exchange> script = {}, Channel own = Channel::kNothing)
      : channel_(own), script_(std::move(script)) {}
  void nonce(const std::array<std::byte, 32>& nonce) { nonce_ = nonce; }
  /// More to say after all that is already to be said.
  void add(Exchange exchange) { script_.push_back(std::move(exchange)); }

  /// The next object for the device; empty: all is said.
  /// Errors: the channel's; EIO when the device cannot be connected.
  Result<Bytes> next(spdm::RequesterChannel& channel);
  /// The answer to the last one. Errors: the channel's, or what the exchange says.
  Result<void> take(spdm::RequesterChannel& channel, ByteView object);

 private:
  Channel channel_;
  std::array<std::byte, 32> nonce_{};
  std::deque<Exchange> script_;
};

using TakeTdisp = std::function<Result<void>(const wire::TdispBody& answer)>;
/// A TDISP request to one function; an answer of another is an error.
[[nodiscard]] Exchange tdisp(wire::TdispFunctionId to, const wire::TdispBody& request,
                             TakeTdisp take);

}  // namespace teeio::sev
