#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "wire/spdm_vendor_defined.h"

namespace teeio::device {

class Attester;

/// A card's DSM as whoever speaks SPDM in its place needs it.
class DsmMessages {
 public:
  virtual ~DsmMessages() = default;
  /// The answer to an IDE_KM or TDISP message that came over `session`; nullopt: it made no
  /// sense and has none in its own protocol.
  virtual std::optional<Bytes> answer_message(wire::Protocol protocol, ByteView message,
                                              std::uint32_t session) = 0;
  /// An SPDM session is gone, and with it the keys and the locks that came over it.
  virtual void session_ended(std::uint32_t session) = 0;
  /// Credentials and measurements.
  [[nodiscard]] virtual Attester& attester() = 0;
};

/// Who answers the objects of a card's DOE mailbox in its DSM's place.
/// Locking: called with the card's lock held.
class DoeSpeaker {
 public:
  virtual ~DoeSpeaker() = default;
  /// One DOE data object in, one out; empty: it is dropped unanswered.
  virtual Bytes answer(ByteView object) = 0;
  /// Conventional reset: the connection is gone.
  virtual void reset() = 0;
};

}  // namespace teeio::device
