#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "base/bytes.h"

namespace teeio::serve {

/// How an answer failed to come.
enum class Loss : std::uint8_t {
  kTimeout,   ///< nothing came in time
  kClosed,    ///< the peer closed the connection, or it broke
  kNonsense,  ///< what came is no message of this transport and size
};

/// Where a responder is, other than behind a socket of spdm-emu's protocol: packets of one
/// transport, one answer each.
///
/// Lifetime: outlives its clients. Locking: none.
class Bus {
 public:
  virtual ~Bus() = default;
  /// The answer's packet; of no bytes: the packet was dropped.
  virtual std::expected<Bytes, Loss> exchange(ByteView packet, unsigned timeout_ms) = 0;
  /// Why the last packet could not even be sent; empty: it was.
  [[nodiscard]] virtual std::string trouble() const { return {}; }
  /// "0000:01:00.0".
  [[nodiscard]] virtual std::string name() const = 0;
};

}  // namespace teeio::serve
