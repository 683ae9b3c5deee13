#include "serve/faults.h"

#include <algorithm>
#include <utility>

#include "serve/fault_names.h"
#include "wire/cxl.h"
#include "wire/ide_km.h"
#include "wire/spdm.h"
#include "wire/spdm_encapsulated.h"
#include "wire/spdm_error.h"
#include "wire/spdm_events.h"
#include "wire/spdm_measurements.h"
#include "wire/spdm_vendor_defined.h"
#include "wire/tdisp.h"

namespace teeio::serve {
namespace {

using Kind = Fault::Kind;

void turn(Bytes& bytes, std::size_t at) {
  if (at < bytes.size()) bytes[at] ^= std::byte{1};
}

/// Another version, which nobody negotiated.
void turn_version(Bytes& bytes, std::size_t at) {
  if (at < bytes.size()) bytes[at] ^= std::byte{8};
}

/// Half of it, in whole words, so that DOE's padding does not give back what was zero.
void cut(Bytes& answer) {
  constexpr std::size_t kWord = 4;
  answer.resize(answer.size() <= kWord ? std::min<std::size_t>(answer.size(), 1)
                                       : std::max(kWord, answer.size() / 2 / kWord * kWord));
}

using wire::cxl::byte_at;
using Vendor = Faults::Vendor;

std::string_view cxl_name(ByteView request) {
  if (byte_at(request, 0) == std::to_underlying(wire::cxl::Protocol::kIdeKm)) {
    switch (wire::cxl::ide_km::Object{byte_at(request, 1)}) {
      case wire::cxl::ide_km::Object::kQuery:
        return "CXL_QUERY";
      case wire::cxl::ide_km::Object::kKeyProg:
        return "CXL_KEY_PROG";
      case wire::cxl::ide_km::Object::kSetGo:
        return "CXL_K_SET_GO";
      case wire::cxl::ide_km::Object::kSetStop:
        return "CXL_K_SET_STOP";
      case wire::cxl::ide_km::Object::kGetKey:
        return "CXL_GETKEY";
      case wire::cxl::ide_km::Object::kQueryResp:
      case wire::cxl::ide_km::Object::kKpAck:
      case wire::cxl::ide_km::Object::kGoStopAck:
      case wire::cxl::ide_km::Object::kGetKeyAck:
        break;
    }
    return {};
  }
  const unsigned first = std::to_underlying(wire::cxl::tsp::Code::kGetVersion);
  const unsigned at = byte_at(request, 2) - first;
  constexpr std::size_t kKnown = std::size(kCxlTsp) - 1;
  return kCxlTsp[at < kKnown ? at : kKnown];
}

std::string_view app_name(Vendor vendor, ByteView request) {
  if (vendor == Vendor::kCxl) return cxl_name(request);
  if (byte_at(request, 0) == std::to_underlying(wire::Protocol::kIdeKm))
    return wire::ide_km_name(byte_at(request, 1));
  return wire::tdisp_name(byte_at(request, 2));
}

/// IDE_KM's byte is the same under both vendors.
bool is_ide_km(ByteView message) {
  static_assert(std::to_underlying(wire::Protocol::kIdeKm) ==
                std::to_underlying(wire::cxl::Protocol::kIdeKm));
  return byte_at(message, 0) == std::to_underlying(wire::Protocol::kIdeKm);
}
/// Where the code of a message is that begins with its protocol's byte.
std::size_t app_code_at(ByteView message) { return is_ide_km(message) ? 1 : 2; }

/// What a device says that takes what it should refuse. PCIe's IDE_KM and CXL's have the same
/// objects at the same places, as far as this goes.
void accept_ide_km(ByteView request, std::optional<Bytes>& answer) {
  namespace ide_km = wire::cxl::ide_km;
  using ide_km::Object;
  constexpr std::size_t kStatus = 1 + ide_km::kStatusAt;
  if (!answer) {
    answer = Bytes(request.begin(), request.end());
    answer->resize(1 + ide_km::kKeyMessageBytes);
    const Object asked{byte_at(request, 1)};
    const Object told = asked == Object::kQuery     ? Object::kQueryResp
                        : asked == Object::kKeyProg ? Object::kKpAck
                                                    : Object::kGoStopAck;
    (*answer)[1] = std::byte{std::to_underlying(told)};
  }
  if (byte_at(*answer, 1) == std::to_underlying(Object::kKpAck) && answer->size() > kStatus)
    (*answer)[kStatus] = std::byte{ide_km::kSuccess};
}
void accept_app(ByteView request, std::optional<Bytes>& answer) {
  if (is_ide_km(request)) return accept_ide_km(request, answer);
  constexpr std::uint8_t kError = 0x7f;  // TDISP's and TSP's
  constexpr std::size_t kCode = 2;
  if (!answer) answer = Bytes(request.begin(), request.end());
  if (answer->size() <= kCode || request.size() <= kCode) return;
  if (byte_at(*answer, kCode) == kError || *answer == Bytes(request.begin(), request.end()))
    (*answer)[kCode] = std::byte(byte_at(request, kCode) & 0x7fU);
}

/// An event that nobody subscribed to: slot 0 has another chain.
Bytes unasked_event(std::uint8_t version) {
  const Bytes slots{std::byte{1}};
  wire::SpdmEvent event;
  event.type = std::to_underlying(wire::SpdmEventType::kCertificateChanged);
  event.detail = slots;
  Writer events;
  event.append_to(events);
  const Bytes told = events.take();
  wire::SpdmSendEvent send;
  send.version = version;
  send.count = 1;
  send.events = told;
  const Bytes request = send.encode();
  wire::SpdmEncapsulatedRequest envelope;
  envelope.version = version;
  envelope.request = request;
  return envelope.encode();
}

/// The lowest bit of where a report's second range begins: a page further, or one nearer.
void move_range(ByteView request, Bytes& answer) {
  constexpr std::size_t kOffsetAt = 1 + wire::TdispHeader::kSize;
  constexpr std::size_t kPortionAt = kOffsetAt + 4;
  constexpr std::size_t kSecondRange = 16 + 16;  // in the report
  const std::size_t high = byte_at(request, kOffsetAt + 1);
  const std::size_t offset = byte_at(request, kOffsetAt) | high << 8U;
  if (offset <= kSecondRange) turn(answer, kPortionAt + kSecondRange - offset);
}

std::string_view name_of(ByteView request) {
  constexpr std::uint8_t kRequests = 0x80;  // and above
  constexpr std::uint8_t kNone = 0;
  const auto header = wire::SpdmHeader::decode(request);
  if (!header) return {};
  return wire::spdm_name(header->code < kRequests ? kNone : header->code);
}

/// The code of the response to a request; RESPOND_IF_READY's would be ERROR's.
std::uint8_t response_to(std::uint8_t request) {
  const auto code = static_cast<std::uint8_t>(request & 0x7fU);
  const bool is_error = code == std::to_underlying(wire::SpdmCode::kError);
  return is_error ? std::uint8_t{0x7e} : code;
}

bool wants_signature(ByteView request) {
  if (const auto measure = wire::SpdmGetMeasurements::decode(request)) return measure->sign;
  if (const auto info = wire::SpdmGetEndpointInfo::decode(request)) return info->sign;
  return true;
}

}  // namespace

bool Faults::has(Kind kind, std::string_view name) const {
  return std::ranges::any_of(
      faults_, [&](const Fault& fault) { return fault.kind == kind && fault.message == name; });
}

std::optional<std::uint8_t> Faults::refuses_named(std::string_view name) {
  for (const Fault& fault : faults_) {
    if (fault.message != name) continue;
    if (fault.kind == Kind::kEndlessBusy) return std::to_underlying(wire::SpdmErrorCode::kBusy);
    if (fault.kind == Kind::kError) return std::to_underlying(wire::SpdmErrorCode::kUnspecified);
  }
  return std::nullopt;
}

constexpr std::size_t kMore = 8;  ///< bytes behind a message's fields

/// What needs no knowledge of the message but where its code is; the version is before it.
void Faults::change_named(std::string_view name, std::size_t code_at, Bytes& answer) {
  for (const Fault& fault : faults_) {
    if (fault.message != name) continue;
    drops_ = drops_ || fault.kind == Kind::kDropped;
    delays_ = delays_ || fault.kind == Kind::kLate;
    if (fault.kind == Kind::kTruncated) cut(answer);
    if (fault.kind == Kind::kLonger) answer.resize(answer.size() + kMore);
    if (fault.kind == Kind::kWrongCode) turn(answer, code_at);
    if (fault.kind == Kind::kWrongVersion) turn_version(answer, code_at - 1);
    if (fault.kind == Kind::kWrongNonce) turn(answer, answer.size() - 1);
  }
}

std::optional<std::uint8_t> Faults::refuses(ByteView request) {
  return refuses_named(name_of(request));
}

void Faults::change_event(Bytes& answer) const {
  if (has(Kind::kUnasked, kSendEvent) && wire::SpdmError::decode(answer))
    answer = unasked_event(byte_at(answer, 0));
  auto envelope = wire::SpdmEncapsulatedRequest::decode(answer);
  if (!has(Kind::kTruncated, kSendEvent) || !envelope ||
      !wire::SpdmSendEvent::decode(envelope->request))
    return;
  Bytes events(envelope->request.begin(), envelope->request.end());
  cut(events);
  envelope->request = events;
  answer = envelope->encode();
}

void Faults::change(ByteView request, Bytes& answer, std::size_t verify_data) {
  const std::string_view name = name_of(request);
  if (name == "GET_ENCAPSULATED_REQUEST") change_event(answer);
  if (wire::SpdmError::decode(answer)) {
    if (has(Kind::kAccepted, name)) answer[1] = std::byte{response_to(byte_at(request, 1))};
    return change_named(name, 1, answer);
  }
  const std::size_t before_hmac =
      name == "KEY_EXCHANGE" ? answer.size() - verify_data : answer.size();
  for (const Fault& fault : faults_) {
    if (fault.message != name) continue;
    if (fault.kind == Kind::kBadSignature && wants_signature(request))
      turn(answer, before_hmac - 1);
    if (fault.kind == Kind::kBadHmac && verify_data > 0) turn(answer, answer.size() - 1);
    if (fault.kind == Kind::kBadDigest) turn(answer, wire::SpdmHeader::kSize);
    if (fault.kind == Kind::kBadCertificate) turn(answer, answer.size() - 1);
  }
  change_named(name, 1, answer);
}

std::optional<std::uint8_t> Faults::refuses_app(Vendor vendor, ByteView request) {
  return refuses_named(app_name(vendor, request));
}

bool Faults::accepts_app(Vendor vendor, ByteView request) const {
  return has(Kind::kAccepted, app_name(vendor, request));
}

void Faults::change_app(Vendor vendor, ByteView request, std::optional<Bytes>& answer) {
  const std::string_view name = app_name(vendor, request);
  if (has(Kind::kAccepted, name)) accept_app(request, answer);
  if (!answer) return;
  if (has(Kind::kMovedRange, name)) move_range(request, *answer);
  change_named(name, app_code_at(*answer), *answer);
}

void Faults::change_discovery(Bytes& object) { change_named(kDiscovery, object.size(), object); }

Bytes Faults::carry(Bytes packet, bool refused) {
  if (std::exchange(drops_, false)) return {};
  if ((packet.empty() && has(Kind::kRepeated, kSilence)) ||
      (refused && has(Kind::kRepeated, kSecured)))
    return last_;
  if (!packet.empty()) last_ = packet;
  const bool delays = std::exchange(delays_, false);
  if (!delays && late_.empty()) return packet;
  Bytes before = std::exchange(late_, delays ? std::move(packet) : Bytes());
  return before;
}

}  // namespace teeio::serve
