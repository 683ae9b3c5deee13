#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "serve/platform_message.h"

namespace teeio::serve {

/// Who answers a connection's packets, and who is told about them.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  /// A packet of the connection's transport; empty: dropped unanswered.
  virtual Bytes answer(PlatformTransport transport, ByteView packet) = 0;
  /// A bare TDISP message from the platform itself; the bare answer.
  virtual Bytes answer_tdisp(ByteView message) = 0;
  /// "Send me an encapsulated request of this kind": the next GET_ENCAPSULATED_REQUEST gets it.
  /// `payload` is the session ID (4 bytes) for KEY_UPDATE.
  virtual void want_encapsulated(PlatformTransport transport, PlatformCommand command,
                                 ByteView payload) = 0;
  virtual void log(const std::string& line) = 0;
};

/// What one peer says and what it is told, without a socket: bytes in, bytes out.
///
/// Two framings: spdm-emu's, and DSP0287's own (SPDM over TCP, port 4194), told apart by
/// the first bytes, as no DSP0287 message begins with two zero bytes and every
/// message of spdm-emu does. Whoever speaks the latter has the transport `tcp`.
///
/// A connection has one transport: the one that its first message names, unless
/// only one is allowed. Nothing that a peer sends does more than end its own
/// connection: an unknown transport, another transport than before, a payload
/// above PlatformHeader::kMaxPayload. Memory follows what arrives, not what a
/// header announces.
///
/// Lifetime: owned by whoever has the socket. Locking: none.
class Connection {
 public:
  Connection(ConnectionOwner& owner, std::optional<PlatformTransport> only)
      : owner_(owner), only_(only) {}

  enum class Next : std::uint8_t {
    kGoOn,
    kClose,     ///< after what is in `out` was sent
    kShutdown,  ///< the same, and the peer said that it was the last
  };
  struct Step {
    Bytes out;  ///< to send
    Next next = Next::kGoOn;
  };
  /// Bytes came; whole messages among them are answered in order.
  [[nodiscard]] Step receive(ByteView bytes);
  /// What a responder that has connected sends first: "will you be the requester?" Whoever will
  /// begins with its first request, in either framing.
  [[nodiscard]] static Bytes role_inquiry();
  /// The peer has closed its end: half a message is worth a line in the log.
  void peer_closed();

 private:
  /// Why a header ends the connection; nullopt: it does not.
  [[nodiscard]] std::optional<std::string> fault(const PlatformHeader& header) const;
  [[nodiscard]] Step receive_raw();
  /// The answer to one DSP0287 message; empty: none.
  [[nodiscard]] Bytes answer_raw(ByteView packet);
  [[nodiscard]] Next handle(const PlatformHeader& header, ByteView payload, Bytes& out);

  ConnectionOwner& owner_;
  const std::optional<PlatformTransport> only_;
  std::optional<PlatformTransport> transport_;
  Bytes in_;
  bool raw_ = false;       ///< DSP0287's framing
  bool declined_ = false;  ///< the peer will not be the requester
};

}  // namespace teeio::serve
