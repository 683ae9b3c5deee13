#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::spdm {

/// Who carries messages. They differ in their own few bytes around a message
/// and in the framing of secured messages; nothing above transport.h asks.
enum class Transport : std::uint8_t {
  kNone,    ///< no header, and therefore no sessions
  kMctp,    ///< one type byte (DSP0275, DSP0276)
  kTcp,     ///< four bytes (DSP0287)
  kPciDoe,  ///< a DOE data object, padded to DWORDs (PCIe Base Spec 6.31)
};

/// One SPDM message without its transport's header: SPDM in the clear, or a
/// secured message (DSP0277) of which only the session ID can be read.
struct Message {
  bool secured = false;
  Bytes bytes;
};
struct MessageView {
  bool secured = false;
  ByteView bytes;
};
[[nodiscard]] inline MessageView view(const Message& message) {
  return {message.secured, message.bytes};
}

/// Takes off the transport's header. A DOE object's padding stays behind the
/// message: decoders ignore what follows the lengths that they know.
/// Errors: EINVAL when `packet` is no packet of that transport; EOPNOTSUPP when
/// it is one that carries something else than SPDM.
Result<MessageView> unwrap(Transport transport, ByteView packet);
/// Puts the transport's header on.
Bytes wrap(Transport transport, const MessageView& message);

}  // namespace teeio::spdm
