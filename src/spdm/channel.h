#pragma once

#include <cstdint>
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
};

/// The firmware's end: wraps IDE_KM and TDISP messages for a device's DSM.
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
/// Connecting exchanges GET_VERSION and VERSION; messages then travel as
/// vendor-defined SPDM messages in the clear (DOE type 1). How many steps
/// connecting takes and what a data object looks like inside is no business of
/// callers: a secure session lives behind the same five functions.
///
/// Locking: none; the owner's lock.
class RequesterChannel {
 public:
  /// The next object to carry to the device before messages can flow; nullopt
  /// once connected(). The same object again until connect_response() accepts
  /// its answer, so an interrupted caller may ask twice.
  [[nodiscard]] std::optional<Bytes> connect_request() const;
  /// Errors: EINVAL when `object` is no answer to connect_request(); EOPNOTSUPP
  /// when the device speaks no SPDM 1.2; EIO when it answered ERROR. The channel
  /// stays as it was.
  Result<void> connect_response(ByteView object);
  [[nodiscard]] bool connected() const { return connected_; }

  /// The object that carries `message` to the device. Errors: ENXIO before
  /// connected(); E2BIG above wire::VendorDefined::kMaxMessage.
  Result<Bytes> seal(wire::Protocol protocol, ByteView message);
  /// The message inside the device's answer. Errors: ENXIO before connected();
  /// EIO for an SPDM ERROR; EINVAL for anything that is not a vendor-defined
  /// response of `protocol`.
  Result<Bytes> open(wire::Protocol protocol, ByteView object);

  /// Forgets the connection (SPDM disconnect, device reset).
  void reset() { connected_ = false; }

 private:
  bool connected_ = false;
};

/// The DSM's end.
///
/// Locking: none; the owner's lock.
class ResponderChannel {
 public:
  /// DOE types that open() understands, for DOE discovery.
  [[nodiscard]] static std::span<const std::uint8_t> object_types();

  /// What a data object of those types holds: a message for the DSM, whose
  /// answer goes through seal(); or, for everything that is the channel's own
  /// business (connecting, errors), the finished object to send back.
  [[nodiscard]] std::variant<AppMessage, Bytes> open(ByteView object);
  /// The object that carries the answer to the last AppMessage.
  [[nodiscard]] Bytes seal(const AppMessage& answer);
  /// The object that says instead that the last AppMessage made no sense and has
  /// no answer in its own protocol.
  [[nodiscard]] Bytes seal_refusal();

  [[nodiscard]] bool connected() const { return connected_; }
  /// Back to the state after power-on (conventional reset).
  void reset() { connected_ = false; }

 private:
  bool connected_ = false;
};

}  // namespace teeio::spdm
