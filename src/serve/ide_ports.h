#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "device/dsm_messages.h"

namespace teeio::serve {

/// The ports of a device with several, in front of a card that has one: the card's
/// port is port `own`, and those below it exist without IDE streams.
///
/// Lifetime: of one call. Locking: the card's own.
class IdePorts {
 public:
  IdePorts(device::DsmMessages& card, std::uint8_t own) : card_(card), own_(own) {}

  /// DsmMessages::answer_message() for an IDE_KM message.
  [[nodiscard]] std::optional<Bytes> answer(ByteView message, std::uint32_t session);

 private:
  device::DsmMessages& card_;
  const std::uint8_t own_;
};

}  // namespace teeio::serve
