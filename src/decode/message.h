#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "decode/fields.h"

namespace teeio::decode {

/// Who sent a message, as far as one can tell.
enum class Sender : std::uint8_t { kRequester, kResponder };

/// One message. A packet may hold several, one inside the other: each has its own
/// entry behind the one that carries it, one level deeper.
struct Message {
  std::size_t packet = 0;  ///< counted from 1, as Wireshark does
  std::uint64_t time_ns = 0;
  Sender sender = Sender::kRequester;
  /// Neither the capture nor the message tells who sent it: it is taken for the other end
  /// than before. A request that was dropped unanswered puts this wrong.
  bool sender_guessed = false;
  std::optional<std::uint16_t> connection{};  ///< by its DOE object's ID; none: the only one
  std::optional<std::uint32_t> session{};     ///< the secured session it travelled in
  unsigned depth = 0;
  std::string_view layer{};  ///< "DOE", "MCTP", "SPDM", "IDE_KM", "TDISP", "SECURED"
  std::string_view name{};   ///< from wire's tables
  Fields fields{};
  std::string_view problem{};  ///< why it could not be decoded; empty: it could
};

}  // namespace teeio::decode
