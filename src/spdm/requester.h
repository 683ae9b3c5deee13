#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "spdm/credentials.h"
#include "spdm/observer.h"
#include "spdm/settings.h"
#include "spdm/transport.h"

namespace teeio::spdm {

namespace requester {
struct State;
}

struct RequesterConfig {
  Settings settings;
  /// One of them must begin (or have signed the first
  /// certificate of) the peer's chain. Empty: any chain that is consistent.
  std::vector<crypto::Certificate> trust_anchors;
  // Both outlive the requester. `credentials`: for mutual authentication.
  Credentials* credentials = nullptr;
  Observer* observer = nullptr;
  /// What kKnownKey names where the peer has PUB_KEY_ID_CAP; nullopt: nobody gave it to this end.
  std::optional<crypto::PublicKey> peer_key{};
  /// The peer was given the key of slot 0: PUB_KEY_ID_CAP is said in the place of CERT_CAP.
  bool peer_has_own_key = false;
};

enum class MeasurementSummary : std::uint8_t { kNone = 0, kTcb = 1, kAll = 0xff };

/// GET_MEASUREMENTS. Source: DSP0274 1.2, 10.11.
struct MeasurementsWanted {
  std::uint32_t session = kNoSession;
  std::uint8_t index = 0xff;  ///< 0: how many there are; 1–0xfe: that one; 0xff: all
  bool sign = true;
  bool raw = true;                                   ///< raw bits where the device offers both
  std::uint8_t slot = 0;                             ///< whose key signs; or kKnownKey
  std::optional<std::array<std::byte, 32>> nonce{};  ///< nullopt: drawn from `schedule`
};

/// What a MEASUREMENTS answer proved.
struct MeasurementRecord {
  std::uint8_t version = 0;
  std::uint8_t count = 0;  ///< blocks, or for index 0 how many indices there are
  Bytes record;            ///< the measurement blocks as sent
  std::array<std::byte, 32> nonce{};
  Bytes response;  ///< the whole MEASUREMENTS message
  /// L1/L2: what the signature covers; a verifier that has the chain checks it
  /// again. Empty when it was not asked for a signature.
  Bytes transcript;
  Bytes signature;
};

/// What a peer proved, for whoever has to decide about it.
struct PeerChain {
  Bytes chain;            ///< SPDM format: length, root hash, certificates
  bool verified = false;  ///< every signature holds, up to a trust anchor if there are any
};

/// An SPDM requester, 1.0 to 1.4, for one connection.
///
/// A step function without I/O. An operation is started, then
///
///   while (const Message* request = requester.request()) {
///     ... carry *request to the peer and bring `answer` back ...
///     TEEIO_TRY(requester.take(answer));
///   }
///
/// Operations may be queued: connect(), get_certificates(0), open_session({})
/// and one loop do all of it. A refused answer ends the loop with an error and
/// empties the queue; bounded work is certain whatever the peer answers, with
/// ResponseNotReady and Busy to be repeated at most Limits::not_ready times.
/// Large messages travel in chunks, and encapsulated requests are answered,
/// within the same loop.
///
/// Errors of take(), beyond those named at an operation: EIO the peer answered
/// ERROR (last_error() says which); EINVAL its answer makes no sense; EPERM a
/// signature, HMAC or digest is wrong, or something that was proved has changed;
/// EBADFD the session is gone (it failed to decrypt); ETIMEDOUT it was not ready
/// too often; E2BIG it exceeds a limit; EOPNOTSUPP it lacks what is asked for.
///
/// Lifetime: owned by whoever has the connection; movable.
/// Locking: none; the owner's lock.
class Requester {
 public:
  explicit Requester(RequesterConfig config);
  Requester(Requester&&) noexcept;
  Requester& operator=(Requester&&) noexcept;
  ~Requester();

  // Operations. Each returns ENXIO where it needs a connection or a session
  // that is neither there nor queued, EOPNOTSUPP where the peer lacks the
  // capability (found out when the operation begins).
  /// GET_VERSION, GET_CAPABILITIES, NEGOTIATE_ALGORITHMS. Forgets everything before.
  void connect();
  /// GET_DIGESTS and GET_CERTIFICATE until the whole chain of `slot` is here, then
  /// verifies it. EPERM when it does not hold; E2BIG above the limit.
  void get_certificates(std::uint8_t slot, std::uint32_t session = kNoSession);
  /// GET_DIGESTS alone: which slots hold a chain, digests().
  void get_digests(std::uint32_t session = kNoSession);
  /// `slot`, here and below: one whose chain was read, or kKnownKey. ENXIO: neither.
  void challenge(std::uint8_t slot, MeasurementSummary summary = MeasurementSummary::kNone);
  void measure(MeasurementsWanted wanted);
  struct SessionWanted {
    std::uint8_t slot = 0;
    MeasurementSummary summary = MeasurementSummary::kNone;
    std::uint8_t policy = 0;  ///< SessionPolicy (SPDM 1.2)
  };
  /// KEY_EXCHANGE, mutual authentication when the peer asks for it, FINISH.
  void open_session(SessionWanted wanted);
  /// PSK_EXCHANGE, PSK_FINISH.
  void open_psk_session(Psk psk, MeasurementSummary summary = MeasurementSummary::kNone);
  void heartbeat(std::uint32_t session);
  enum class KeyUpdate : std::uint8_t { kRequester, kAll };
  void update_keys(std::uint32_t session, KeyUpdate which);
  void end_session(std::uint32_t session);
  /// VENDOR_DEFINED_REQUEST; the answer is in app_answer().
  void send_app(std::uint32_t session, std::uint16_t standard_id, ByteView vendor_id,
                ByteView payload);
  /// The same at once, beside what is queued and whatever else waits for its answer; for
  /// open_app(). Errors: ENXIO; E2BIG where the peer takes no message of that size: no chunks.
  Result<Message> seal_app(std::uint32_t session, std::uint16_t standard_id, ByteView vendor_id,
                           ByteView payload);
  /// The payload of the next answer: they come in the order of the requests. Errors: EACCES
  /// when it is not authentic, which changes nothing: the right one may still come; ENXIO;
  /// else those of take(), and the answer is used up.
  Result<Bytes> open_app(std::uint32_t session, std::uint16_t standard_id, ByteView vendor_id,
                         const MessageView& answer);
  /// GET_MEASUREMENT_EXTENSION_LOG; in extension_log().
  void get_extension_log(std::uint32_t session = kNoSession);
  /// GET_ENCAPSULATED_REQUEST, and answers to whatever the peer asks then
  /// (certificates, KEY_UPDATE of its own keys).
  void answer_encapsulated(std::uint32_t session = kNoSession);
  /// Any SPDM request, header and all, as it is: for tests of responders. The
  /// answer, ERROR or not, is in raw_answer(); no transcript notices.
  void send_raw(std::uint32_t session, Bytes request);

  /// The message to carry now; the same one until take() had its answer. nullptr:
  /// nothing is left to do.
  [[nodiscard]] const Message* request();
  /// How long to wait before carrying it (after ResponseNotReady or Busy).
  [[nodiscard]] std::uint64_t wait_us() const;
  /// The peer's answer to request().
  Result<void> take(const MessageView& answer);
  /// Why request() gave nothing although an operation was queued (a capability
  /// that the peer lacks); nullopt: nothing went wrong. Until the next operation.
  [[nodiscard]] std::optional<Error> failure() const;

  /// Forgets what is queued; connection and sessions stay, but for one whose
  /// handshake was under way. A request that was sealed has used its sequence
  /// number: the session is of no use unless the peer got it.
  void cancel();
  /// Forgets queue, connection, sessions and keys.
  void reset();

  // What is known of the peer.
  [[nodiscard]] std::optional<Negotiated> negotiated() const;
  [[nodiscard]] std::optional<std::uint32_t> last_session() const;  ///< that was opened
  [[nodiscard]] bool has_session(std::uint32_t session) const;
  [[nodiscard]] const PeerChain* peer_chain(std::uint8_t slot) const;
  /// Which certificate of the chain that was read last does not hold, and why, when that
  /// is what failed; else empty.
  [[nodiscard]] const std::string& chain_problem() const;
  [[nodiscard]] std::uint8_t slot_mask() const;  ///< slots that hold a chain (DIGESTS)
  [[nodiscard]] ByteView digest(std::uint8_t slot) const;
  [[nodiscard]] const MeasurementRecord& measurement_record() const;
  [[nodiscard]] ByteView measurement_summary() const;  ///< of the last exchange that had one
  [[nodiscard]] ByteView extension_log() const;
  [[nodiscard]] ByteView app_answer() const;
  [[nodiscard]] ByteView raw_answer() const;
  /// The last SEND_EVENT, acknowledged or refused: a whole SPDM message, or what was to be one.
  /// Empty: none came.
  [[nodiscard]] ByteView last_events() const;
  struct PeerError {
    std::uint8_t code = 0;
    std::uint8_t data = 0;
  };
  [[nodiscard]] std::optional<PeerError> last_error() const;

 private:
  std::unique_ptr<requester::State> state_;
};

}  // namespace teeio::spdm
