#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "serve/capture.h"
#include "serve/client.h"
#include "spdm/requester.h"
#include "wire/spdm_error.h"

namespace teeio::serve::validate {

/// How one exchange went, as a case looks at it.
struct Reply {
  enum class Kind : std::uint8_t {
    kAnswer,   ///< `bytes` is an answer, and no ERROR
    kError,    ///< the peer answered SPDM ERROR: `code`, `data`
    kDropped,  ///< the packet was dropped without an answer
    kLost,     ///< the connection is of no use any more
    kRefused,  ///< our own requester took the answer for wrong: `why`
  };
  Kind kind = Kind::kLost;
  Bytes bytes;  ///< also of a kError that raw() or message() brought
  std::uint8_t code = 0;
  std::uint8_t data = 0;
  std::string_view why = {};  ///< literal
  bool too_large = false;     ///< kRefused: it exceeds a limit of our own requester

  [[nodiscard]] bool answered() const { return kind == Kind::kAnswer; }
  [[nodiscard]] bool is_error(wire::SpdmErrorCode expected) const {
    return kind == Kind::kError && code == static_cast<std::uint8_t>(expected);
  }
  /// Refused in any way that the specifications leave open: an ERROR, or silence.
  [[nodiscard]] bool refused() const {
    return kind == Kind::kError || kind == Kind::kDropped || kind == Kind::kLost;
  }
  /// "an answer of 20 bytes", "ERROR InvalidRequest", "no answer" …
  [[nodiscard]] std::string str() const;
};

/// Sees everything that goes to the peer and comes from it.
class Watch {
 public:
  virtual ~Watch() = default;
  /// A packet of the transport; of no bytes: nothing came.
  virtual void packet(PlatformTransport transport, PacketSender sender, ByteView packet) = 0;
  virtual void keys(const wire::KeyLogLine& line) = 0;
  /// How many packets it has seen.
  [[nodiscard]] virtual std::size_t packets() const = 0;
};

/// What a Link's requester said and heard, decrypted: the codes of SPDM messages in order.
class Heard final : public spdm::Observer {
 public:
  explicit Heard(Watch* watch) : watch_(watch) {}
  [[nodiscard]] bool has_sent(wire::SpdmCode code) const;
  void received(std::uint32_t session, ByteView spdm) override;
  void sent(std::uint32_t session, ByteView spdm) override;
  [[nodiscard]] bool wants_keys() const override { return watch_ != nullptr; }
  void keys(const wire::KeyLogLine& line) override { watch_->keys(line); }
  /// The last message of a code; nullptr: none came.
  [[nodiscard]] const Bytes* last(wire::SpdmCode code) const;

 private:
  Watch* watch_;
  std::map<std::uint8_t, Bytes> last_;
};

/// What outlives a case's links.
struct LinkOwner {
  Watch* watch = nullptr;  ///< nullptr: nobody looks
  bool lost = false;       ///< a connection broke, or nothing came in time
};

/// One connection to the peer with a requester on it.
///
/// Lifetime: of one case; `owner` outlives it. Locking: none.
class Link {
 public:
  Link(Client client, spdm::RequesterConfig config, LinkOwner& owner);

  [[nodiscard]] spdm::Requester& requester() { return requester_; }
  /// Carries what the requester has queued until nothing is left. kAnswer has no
  /// bytes. Bounded: by the requester, by kMaxExchanges and by the socket's
  /// time limit.
  Reply run();
  /// Any SPDM request in a session or in the clear, as it is.
  Reply raw(Bytes request, std::uint32_t session = spdm::kNoSession);
  /// A packet of the transport as it is; the answer's whole packet.
  Reply packet(ByteView bytes);
  /// A message as packet; the answer is SPDM in the clear (kAnswer or kError), or a
  /// secured message (kAnswer) that only the requester can read.
  Reply message(const spdm::MessageView& message);
  // For replay, tampering and gaps. Precondition of both: something is queued.
  /// Sends `other` in the place of the requester's next message, and takes the
  /// answer as that one's: as raw() and run() do.
  Reply send_instead(const spdm::MessageView& other);
  /// The requester's next message, which stays the next one.
  [[nodiscard]] spdm::Message next_request();
  [[nodiscard]] Client& client() { return client_; }
  [[nodiscard]] const Heard& heard() const { return *heard_; }

 private:
  /// Before the next message goes out; false: the device was not ready for too long.
  [[nodiscard]] bool wait(std::uint64_t& waited_us);
  /// What the requester makes of an answer's packet.
  Reply take(const Reply& came);

  static constexpr unsigned kMaxExchanges = 4096;
  /// A shorter wait than this nobody minds, however short the time limit.
  static constexpr std::uint64_t kLeastWaitUs = 100'000;

  Client client_;
  const spdm::Transport transport_;
  LinkOwner* owner_;
  std::unique_ptr<Heard> heard_;
  spdm::Requester requester_;
};

[[nodiscard]] spdm::Transport spdm_transport(PlatformTransport transport);

}  // namespace teeio::serve::validate
