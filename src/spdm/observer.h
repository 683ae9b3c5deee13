#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace teeio::wire {
struct KeyLogLine;
}

namespace teeio::spdm {

/// Session number of messages in the clear. No session has it: an ID's two
/// halves are chosen by its two ends, and the responder's half is never 0.
inline constexpr std::uint32_t kNoSession = 0;

/// Why a session is no more.
enum class SessionEnd : std::uint8_t {
  kEnded,         ///< END_SESSION was answered
  kDecryptError,  ///< a secured message failed to authenticate
  kHeartbeat,     ///< no message came within twice the heartbeat period
  kHandshake,     ///< it never got through its handshake
  kKeyUpdate,     ///< the peer broke the sequence of KEY_UPDATE
  kReset,         ///< the connection began anew (GET_VERSION) or was reset
  kOwner,         ///< this end's owner wanted it so
};
[[nodiscard]] std::string_view name(SessionEnd reason);

/// Is told what an end of a connection does: for traces, captures and key logs,
/// and for whoever holds state that lives as long as a session.
///
/// Called from within the step functions; must not call back into them.
class Observer {
 public:
  virtual ~Observer() = default;
  /// An SPDM message, decrypted, came from the peer. What came in chunks is told
  /// twice: each chunk, and the whole.
  virtual void received(std::uint32_t /*session*/, ByteView /*spdm*/) {}
  /// An SPDM message, not encrypted yet, is on its way to the peer.
  virtual void sent(std::uint32_t /*session*/, ByteView /*spdm*/) {}
  /// A session is authenticated on both sides and carries messages.
  virtual void session_started(std::uint32_t /*session*/) {}
  /// A session that had got an ID is gone, with its keys.
  virtual void session_ended(std::uint32_t /*session*/, SessionEnd /*reason*/) {}
  /// A record was sealed with that sequence number, under the key that `key_digest`
  /// stands for (64 bits that do not tell it): each pair once, ever.
  virtual void sealed(std::uint32_t /*session*/, std::uint64_t /*key_digest*/,
                      std::uint64_t /*sequence*/) {}
  /// Whether keys() is to be called: a key log is written.
  [[nodiscard]] virtual bool wants_keys() const { return false; }
  /// A key comes into use.
  virtual void keys(const wire::KeyLogLine& /*line*/) {}
};

}  // namespace teeio::spdm
