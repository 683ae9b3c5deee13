#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm_vendor_defined.h"

namespace teeio::spdm {

/// One IDE_KM or TDISP message, without any envelope.
struct AppMessage {
  wire::Protocol protocol = wire::Protocol::kIdeKm;
  Bytes bytes;
  std::uint32_t session = 0;  ///< that carried it; 0: none, in the clear
};

/// What a device has proved about itself, for whoever decides to trust it.
struct Evidence {
  Bytes chain;  ///< certificate chain, SPDM format; verified up to a trust anchor if any is set
  std::array<std::byte, 32> nonce{};  ///< of the request for measurements
  Bytes transcript;                   ///< L1: what the signature of the measurements covers
  Bytes signature;                    ///< by the key of the chain's leaf
  Bytes record;                       ///< the measurement blocks
};

/// Evidence as one run of bytes, little-endian: u32 sizes of chain, transcript and
/// signature, u32 zero, the nonce (32 bytes), then those three in that order. The
/// layout is this project's own: a firmware's is not public.
[[nodiscard]] Bytes encode_evidence(const Evidence& evidence);

/// The firmware's end: carries IDE_KM and TDISP messages to a device's DSM.
///
/// A step function without I/O. Everything that goes in or out is a whole DOE
/// data object (header, padding and all), which the owner hands to the host to
/// carry unread. Strictly one request, then its response.
///
///   while (auto object = channel.connect_request()) {
///     ... host carries *object to the device and brings `answer` back ...
///     TEEIO_TRY(channel.connect_response(answer));
///   }
///   seal(kTdisp, lock) → host, device → open(answer)
///
/// How many steps connecting takes and what a data object looks like inside is
/// no business of callers. Any other answer than the right one costs at most the
/// channel: bounded work, no effect.
///
/// Locking: none; the owner's lock.
class RequesterChannel {
 public:
  virtual ~RequesterChannel() = default;

  /// The next object to carry to the device before messages can flow; nullopt
  /// once connected(). The same object again until connect_response() got an
  /// answer, so an interrupted caller may ask twice.
  [[nodiscard]] virtual std::optional<Bytes> connect_request() = 0;
  /// Errors: EINVAL when `object` is no answer to connect_request(); EOPNOTSUPP
  /// when the device lacks what is needed; EIO when it answered ERROR; EPERM when
  /// what it claims is not proved; ETIMEDOUT when it was not ready too often. The
  /// next connect_request() begins anew.
  virtual Result<void> connect_response(ByteView object) = 0;
  [[nodiscard]] virtual bool connected() const = 0;

  /// The object that carries `message` to the device. Errors: ENXIO unless
  /// connected(); E2BIG above wire::VendorDefined::kMaxMessage; EBUSY while
  /// another exchange waits for its answer (a patient channel: one that is no message's).
  virtual Result<Bytes> seal(wire::Protocol protocol, ByteView message) = 0;
  /// The message inside the device's answer. Errors: ENXIO unless connected();
  /// EIO for an SPDM ERROR; EAGAIN when the device was not ready; EINVAL for
  /// anything that is not a vendor-defined response of `protocol`; EBADFD when
  /// the session died of it: connected() is false from here on. EACCES when `object` is none
  /// of this channel's: of a plain or patient one, to which the answer may still come.
  virtual Result<Bytes> open(wire::Protocol protocol, ByteView object) = 0;

  /// A sealed message may still get its answer. False once open() has used it up;
  /// always true of a plain or patient channel, which keeps no count.
  [[nodiscard]] virtual bool waiting() const = 0;

  /// Asks the connected device to measure itself and sign that together with
  /// `nonce`, as connect_request() and connect_response() do; nullopt when it is
  /// done. Errors of the response: theirs. A plain channel has nothing to ask.
  [[nodiscard]] virtual std::optional<Bytes> measure_request(
      const std::array<std::byte, 32>& nonce) = 0;
  virtual Result<void> measure_response(ByteView object) = 0;
  /// What keeps a session alive and its keys fresh: HEARTBEAT, and KEY_UPDATE of both
  /// directions.
  enum class Upkeep : std::uint8_t { kHeartbeat, kKeyUpdate };
  /// As measure_request(). Errors: ENXIO unless connected(); EBUSY while another exchange
  /// waits for its answer; EOPNOTSUPP when an end lacks it, as a plain channel does.
  [[nodiscard]] virtual Result<std::optional<Bytes>> upkeep_request(Upkeep which) = 0;
  virtual Result<void> upkeep_response(ByteView object) = 0;
  /// What was proved so far; nullptr when nothing was.
  [[nodiscard]] virtual const Evidence* evidence() const = 0;

  /// The object that ends the session in good order; nullopt: there is none, or
  /// the device has answered, and the connection is forgotten.
  [[nodiscard]] virtual std::optional<Bytes> disconnect_request() = 0;
  /// Whatever the device answers, the session is over; but a busy one is asked again. Errors: it
  /// was no END_SESSION_ACK of this session.
  virtual Result<void> disconnect_response(ByteView object) = 0;
  /// Forgets the connection (SPDM disconnect, device reset).
  virtual void reset() = 0;
};

/// The DSM's end.
///
/// Locking: none; the owner's lock.
class ResponderChannel {
 public:
  virtual ~ResponderChannel() = default;

  /// DOE types that open() understands, for DOE discovery.
  [[nodiscard]] virtual std::span<const std::uint8_t> object_types() const = 0;
  /// What a data object of those types holds: a message for the DSM, whose
  /// answer goes through seal(); or, for everything that is the channel's own
  /// business (connecting, errors), the finished object to send back, empty when
  /// the object is dropped unanswered.
  [[nodiscard]] virtual std::variant<AppMessage, Bytes> open(ByteView object) = 0;
  /// The object that carries the answer to the last AppMessage.
  [[nodiscard]] virtual Bytes seal(const AppMessage& answer) = 0;
  /// The object that says instead that the last AppMessage made no sense and has
  /// no answer in its own protocol.
  [[nodiscard]] virtual Bytes seal_refusal() = 0;
  /// Back to the state after power-on (conventional reset).
  virtual void reset() = 0;
};

/// The cheapest channel there is: GET_VERSION and VERSION, then vendor-defined
/// messages in the clear (DOE type 1). Nobody is authenticated.
[[nodiscard]] std::unique_ptr<RequesterChannel> make_plain_requester();
[[nodiscard]] std::unique_ptr<ResponderChannel> make_plain_responder();

}  // namespace teeio::spdm
