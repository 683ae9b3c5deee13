#include "serve/faults.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "wire/cxl.h"
#include "wire/ide_km.h"
#include "wire/spdm.h"
#include "wire/spdm_error.h"
#include "wire/spdm_events.h"
#include "wire/spdm_measurements.h"
#include "wire/spdm_vendor_defined.h"
#include "wire/tdisp.h"

namespace teeio::serve {
namespace {

using Kind = Fault::Kind;
using Names = std::span<const std::string_view>;

constexpr std::string_view kDiscovery = "DISCOVERY";
constexpr std::string_view kIdeKm[] = {"QUERY", "KEY_PROG", "K_SET_GO", "K_SET_STOP"};
constexpr std::string_view kTdisp[] = {"GET_TDISP_VERSION",
                                       "GET_TDISP_CAPABILITIES",
                                       "LOCK_INTERFACE",
                                       "GET_DEVICE_INTERFACE_REPORT",
                                       "GET_DEVICE_INTERFACE_STATE",
                                       "START_INTERFACE",
                                       "STOP_INTERFACE"};
constexpr std::string_view kSpdm[] = {"GET_VERSION",
                                      "GET_CAPABILITIES",
                                      "NEGOTIATE_ALGORITHMS",
                                      "GET_DIGESTS",
                                      "GET_CERTIFICATE",
                                      "CHALLENGE",
                                      "GET_MEASUREMENTS",
                                      "GET_MEASUREMENT_EXTENSION_LOG",
                                      "KEY_EXCHANGE",
                                      "FINISH",
                                      "PSK_EXCHANGE",
                                      "HEARTBEAT",
                                      "KEY_UPDATE",
                                      "END_SESSION",
                                      "GET_CSR",
                                      "SET_CERTIFICATE",
                                      "GET_KEY_PAIR_INFO",
                                      "SET_KEY_PAIR_INFO",
                                      "GET_ENDPOINT_INFO",
                                      "GET_SUPPORTED_EVENT_TYPES",
                                      "SUBSCRIBE_EVENT_TYPES"};
// Those of which refusals are asked for.
constexpr std::string_view kRefusedSpdm[] = {"GET_VERSION",
                                             "GET_CAPABILITIES",
                                             "NEGOTIATE_ALGORITHMS",
                                             "GET_DIGESTS",
                                             "GET_CERTIFICATE",
                                             "CHALLENGE",
                                             "GET_MEASUREMENTS",
                                             "GET_MEASUREMENT_EXTENSION_LOG",
                                             "KEY_EXCHANGE",
                                             "FINISH",
                                             "PSK_EXCHANGE",
                                             "HEARTBEAT",
                                             "GET_CSR",
                                             "SET_CERTIFICATE",
                                             "GET_KEY_PAIR_INFO",
                                             "SET_KEY_PAIR_INFO",
                                             "GET_SUPPORTED_EVENT_TYPES",
                                             "SUBSCRIBE_EVENT_TYPES",
                                             "GET_ENCAPSULATED_REQUEST",
                                             "RESPOND_IF_READY",
                                             "CHUNK_SEND",
                                             "CHUNK_GET",
                                             "SPDM_UNKNOWN"};
constexpr std::string_view kRefusedIdeKm[] = {"QUERY", "KEY_PROG", "K_SET_GO", "IDE_KM_UNKNOWN"};
constexpr std::string_view kRefusedTdisp[] = {"GET_TDISP_VERSION",
                                              "LOCK_INTERFACE",
                                              "GET_DEVICE_INTERFACE_REPORT",
                                              "GET_DEVICE_INTERFACE_STATE",
                                              "START_INTERFACE",
                                              "VDM",
                                              "TDISP_UNKNOWN"};
constexpr std::string_view kRefusedCxl[] = {"CXL_KEY_PROG", "GET_TARGET_CAPABILITIES",
                                            "SET_TARGET_CONFIGURATION", "LOCK_TARGET_CONFIGURATION",
                                            "TSP_UNKNOWN"};
// What a device itself asks for travels in them.
constexpr std::string_view kEncapsulated[] = {"GET_ENCAPSULATED_REQUEST",
                                              "DELIVER_ENCAPSULATED_RESPONSE"};
constexpr std::string_view kReport[] = {"GET_DEVICE_INTERFACE_REPORT"};
constexpr std::string_view kSilence = "SILENCE";
constexpr std::string_view kSecured = "SECURED";
constexpr std::string_view kUnanswered[] = {kSilence, kSecured};
// As intel/tee-io-validator names them.
constexpr std::string_view kCxlIdeKm[] = {"CXL_QUERY", "CXL_KEY_PROG", "CXL_K_SET_GO",
                                          "CXL_K_SET_STOP", "CXL_GETKEY"};
constexpr std::string_view kCxlTsp[] = {"GET_TARGET_TSP_VERSION",
                                        "GET_TARGET_CAPABILITIES",
                                        "SET_TARGET_CONFIGURATION",
                                        "GET_TARGET_CONFIGURATION",
                                        "GET_TARGET_CONFIGURATION_REPORT",
                                        "LOCK_TARGET_CONFIGURATION",
                                        "TSP_UNKNOWN"};
constexpr std::string_view kSigned[] = {"CHALLENGE", "GET_MEASUREMENTS", "KEY_EXCHANGE", "GET_CSR",
                                        "GET_ENDPOINT_INFO"};
constexpr std::string_view kHmac[] = {"KEY_EXCHANGE", "PSK_EXCHANGE"};
constexpr std::string_view kDigests[] = {"GET_DIGESTS"};
constexpr std::string_view kCertificate[] = {"GET_CERTIFICATE"};
constexpr std::string_view kLock[] = {"LOCK_INTERFACE"};
constexpr std::string_view kAlone[] = {kDiscovery};

struct Row {
  std::string_view name;
  Kind kind;
  std::array<Names, 7> messages;
};
constexpr Row kRows[] = {
    {"bad-signature", Kind::kBadSignature, {kSigned}},
    {"bad-hmac", Kind::kBadHmac, {kHmac}},
    {"bad-digest", Kind::kBadDigest, {kDigests}},
    {"bad-certificate", Kind::kBadCertificate, {kCertificate}},
    {"wrong-nonce", Kind::kWrongNonce, {kLock}},
    {"wrong-version", Kind::kWrongVersion, {kSpdm, kTdisp}},
    {"wrong-code", Kind::kWrongCode, {kSpdm, kEncapsulated, kIdeKm, kTdisp, kCxlIdeKm, kCxlTsp}},
    {"truncated",
     Kind::kTruncated,
     {kSpdm, kEncapsulated, kIdeKm, kTdisp, kAlone, kCxlIdeKm, kCxlTsp}},
    {"error", Kind::kError, {kSpdm, kIdeKm, kTdisp, kCxlIdeKm, kCxlTsp}},
    {"endless-busy", Kind::kEndlessBusy, {kSpdm, kIdeKm, kTdisp}},
    {"dropped", Kind::kDropped, {kSpdm, kIdeKm, kTdisp, kAlone}},
    {"late", Kind::kLate, {kSpdm, kIdeKm, kTdisp, kAlone}},
    {"accepted", Kind::kAccepted, {kRefusedSpdm, kRefusedIdeKm, kRefusedTdisp, kRefusedCxl}},
    {"moved-range", Kind::kMovedRange, {kReport}},
    {"repeated", Kind::kRepeated, {kUnanswered}},
};

std::vector<std::string_view> messages_of(const Row& row) {
  std::vector<std::string_view> all;
  for (const Names& names : row.messages) all.insert(all.end(), names.begin(), names.end());
  return all;
}

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

std::expected<Fault, std::string> parse_fault(std::string_view text) {
  const auto at = text.find('@');
  const std::string_view name = text.substr(0, at);
  const auto row = std::ranges::find(kRows, name, &Row::name);
  if (row == std::end(kRows)) {
    std::vector<std::string_view> names;
    for (const Row& one : kRows) names.push_back(one.name);
    return std::unexpected(
        fmt::format("there is no fault {}; there are {}", name, fmt::join(names, ", ")));
  }
  const auto messages = messages_of(*row);
  const std::string_view message = at == std::string_view::npos ? "" : text.substr(at + 1);
  if (std::ranges::find(messages, message) == messages.end())
    return std::unexpected(
        fmt::format("{}@MESSAGE takes one of {}", name, fmt::join(messages, ", ")));
  return Fault{row->kind, std::string(message)};
}

std::vector<std::string> all_faults() {
  std::vector<std::string> all;
  for (const Row& row : kRows)
    for (const std::string_view message : messages_of(row))
      all.push_back(fmt::format("{}@{}", row.name, message));
  return all;
}

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

/// What needs no knowledge of the message but where its code is; the version is before it.
void Faults::change_named(std::string_view name, std::size_t code_at, Bytes& answer) {
  for (const Fault& fault : faults_) {
    if (fault.message != name) continue;
    drops_ = drops_ || fault.kind == Kind::kDropped;
    delays_ = delays_ || fault.kind == Kind::kLate;
    if (fault.kind == Kind::kTruncated) cut(answer);
    if (fault.kind == Kind::kWrongCode) turn(answer, code_at);
    if (fault.kind == Kind::kWrongVersion) turn_version(answer, code_at - 1);
    if (fault.kind == Kind::kWrongNonce) turn(answer, answer.size() - 1);
  }
}

std::optional<std::uint8_t> Faults::refuses(ByteView request) {
  return refuses_named(name_of(request));
}

void Faults::change(ByteView request, Bytes& answer, std::size_t verify_data) {
  const std::string_view name = name_of(request);
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
