#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "spdm/credentials.h"
#include "spdm/observer.h"
#include "spdm/settings.h"
#include "spdm/transport.h"

namespace teeio::spdm {

namespace responder {
struct State;
}

/// How a responder authenticates its requester. Source: DSP0274 1.2, 10.15 and 10.16.
enum class MutualAuth : std::uint8_t {
  kNever,
  kOptional,  ///< asks when the requester can
  kRequired,  ///< KEY_EXCHANGE of a requester that cannot is refused
};

/// Spoils answers on purpose, so that requesters can be tested. Its responder's own state and
/// transcripts have the answer as it should have been.
class Tamper {
 public:
  virtual ~Tamper() = default;
  /// The ERROR code that a request gets which would have been answered; nullopt: its answer.
  [[nodiscard]] virtual std::optional<std::uint8_t> refuses(ByteView request) = 0;
  /// The answer to `request`, an ERROR too, is about to be sent; both are whole SPDM messages in
  /// the clear.
  /// `verify_data`: bytes of the HMAC at the end of KEY_EXCHANGE_RSP and PSK_EXCHANGE_RSP.
  virtual void change(ByteView request, Bytes& answer, std::size_t verify_data) = 0;
};

struct ResponderConfig {
  Settings settings;
  // All outlive the responder; nullptr: it has none, and the capability is not offered.
  Credentials* credentials = nullptr;
  MeasurementSource* measurements = nullptr;
  Provisioning* provisioning = nullptr;
  Observer* observer = nullptr;
  Tamper* tamper = nullptr;
  /// Whose chains mutual authentication accepts; nullptr: any whose signatures hold.
  const crypto::TrustAnchors* requester_anchors = nullptr;
  /// The key of a requester, given beforehand: requesters with PUB_KEY_ID_CAP that `mutual_auth`
  /// asks must have it. nullopt: they are taken for requesters that cannot.
  std::optional<crypto::PublicKey> requester_key{};
  std::vector<Psk> psks;
  /// EndpointInfo of ENDPOINT_INFO: device class identifiers (SPDM 1.3). Empty: not offered.
  Bytes endpoint_info;
  MutualAuth mutual_auth = MutualAuth::kNever;
  /// KEY_EXCHANGE_RSP asks for the chain that the connection's last CHALLENGE has brought, if one
  /// has, without encapsulated requests. Not of requesters with several keys.
  bool reuses_requester_chain = false;
  std::uint8_t heartbeat_period_s = 0;  ///< 0: sessions need no heartbeat
  /// Of each MEASUREMENTS' OpaqueData, as encode_measurement_opaque() has it; empty: none. At
  /// most kMaxMeasurementOpaque bytes.
  Bytes measurement_opaque{};
  static constexpr std::size_t kMaxMeasurementOpaque = 960;
  /// BCD major.minor, a byte each, of the secured messages that sessions may have; empty: all.
  Bytes secured_versions{};
  /// Answers that need a signature begin with ResponseNotReady; the requester
  /// fetches them by RESPOND_IF_READY.
  bool defer_signatures = false;
};

/// A request that the responder's owner answers, not the responder itself.
struct AppRequest {
  enum class Kind : std::uint8_t {
    kVendorDefined,  ///< VENDOR_DEFINED_REQUEST
    kMctp,           ///< another MCTP message inside a session: `payload` begins with its type
  };
  Kind kind = Kind::kVendorDefined;
  std::uint32_t session = kNoSession;
  std::uint16_t standard_id = 0;  ///< 3: PCI-SIG. Source: DSP0274 table 60.
  Bytes vendor_id;                ///< PCI-SIG: two bytes
  Bytes payload;
};

/// An SPDM responder, 1.0 to 1.4, for one connection.
///
/// A step function without I/O: a message goes in, and what to do with it comes
/// out. Everything that another party controls is checked; nothing it sends
/// makes the responder wait, grow beyond its settings, or fail a check. After
/// an AppRequest the owner calls answer() or refuse() once; receive() before
/// that forgets the request.
///
/// Lifetime: owned by whoever has the connection; movable.
/// Locking: none; the owner's lock.
class Responder {
 public:
  explicit Responder(ResponderConfig config);
  Responder(Responder&&) noexcept;
  Responder& operator=(Responder&&) noexcept;
  ~Responder();

  /// Nothing: the message is dropped unanswered. A Message: the answer.
  using Step = std::variant<std::monostate, Message, AppRequest>;
  [[nodiscard]] Step receive(const MessageView& message);
  /// The message that carries the owner's answer to the last AppRequest.
  [[nodiscard]] std::optional<Message> answer(ByteView payload);
  /// The ERROR that says instead that there is none (an error code and its data).
  [[nodiscard]] std::optional<Message> refuse(std::uint8_t error_code, std::uint8_t data = 0);

  /// Seconds went by: sessions that had no message for twice their heartbeat
  /// period end.
  void pass_time(std::uint32_t seconds);
  /// Ends a session from this side (a stream was lost, a policy changed).
  void end_session(std::uint32_t session);
  /// Conventional reset: as after power-on; with CACHE_CAP what was negotiated is kept.
  void reset();
  /// What of the negotiated state a reset would keep: message A. Empty: nothing.
  [[nodiscard]] ByteView kept_agreement() const;
  /// Agrees again on what such a message says, by its requests. False: this end answers them
  /// otherwise, or a reset would not keep it; then nothing is agreed on.
  bool restore_agreement(ByteView message_a);
  /// This end has lost its state: RequestResynch until the next GET_VERSION.
  void need_resynch();

  enum class Encapsulated : std::uint8_t {
    kKeyUpdate,     ///< KEY_UPDATE of this end's own key; in a session
    kEndpointInfo,  ///< GET_ENDPOINT_INFO
  };
  /// Has a request ready for the requester's next GET_ENCAPSULATED_REQUEST. False:
  /// there is no such session or no connection.
  bool start_encapsulated(Encapsulated kind, std::uint32_t session);

  /// What was agreed on; nullopt before ALGORITHMS.
  [[nodiscard]] std::optional<Negotiated> negotiated() const;

 private:
  std::unique_ptr<responder::State> state_;
};

}  // namespace teeio::spdm
