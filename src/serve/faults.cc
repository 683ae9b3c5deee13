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
constexpr std::string_view kSpdm[] = {
    "GET_VERSION",       "GET_CAPABILITIES",  "NEGOTIATE_ALGORITHMS",
    "GET_DIGESTS",       "GET_CERTIFICATE",   "CHALLENGE",
    "GET_MEASUREMENTS",  "KEY_EXCHANGE",      "FINISH",
    "PSK_EXCHANGE",      "HEARTBEAT",         "KEY_UPDATE",
    "END_SESSION",       "GET_CSR",           "SET_CERTIFICATE",
    "GET_KEY_PAIR_INFO", "SET_KEY_PAIR_INFO", "GET_ENDPOINT_INFO"};
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
  std::array<Names, 4> messages;
};
constexpr Row kRows[] = {
    {"bad-signature", Kind::kBadSignature, {kSigned}},
    {"bad-hmac", Kind::kBadHmac, {kHmac}},
    {"bad-digest", Kind::kBadDigest, {kDigests}},
    {"bad-certificate", Kind::kBadCertificate, {kCertificate}},
    {"wrong-nonce", Kind::kWrongNonce, {kLock}},
    {"wrong-version", Kind::kWrongVersion, {kSpdm, kTdisp}},
    {"wrong-code", Kind::kWrongCode, {kSpdm, kIdeKm, kTdisp}},
    {"truncated", Kind::kTruncated, {kSpdm, kIdeKm, kTdisp, kAlone}},
    {"error", Kind::kError, {kSpdm, kIdeKm, kTdisp}},
    {"endless-busy", Kind::kEndlessBusy, {kSpdm, kIdeKm, kTdisp}},
    {"dropped", Kind::kDropped, {kSpdm, kIdeKm, kTdisp, kAlone}},
    {"late", Kind::kLate, {kSpdm, kIdeKm, kTdisp, kAlone}},
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

std::string_view app_name(ByteView request) {
  using wire::cxl::byte_at;
  if (byte_at(request, 0) == std::to_underlying(wire::Protocol::kIdeKm))
    return wire::ide_km_name(byte_at(request, 1));
  return wire::tdisp_name(byte_at(request, 2));
}

/// Where the code of a message is that begins with its protocol's byte.
std::size_t app_code_at(ByteView message) {
  const bool ide =
      !message.empty() && message.front() == std::byte{std::to_underlying(wire::Protocol::kIdeKm)};
  return ide ? 1 : 2;
}

std::string_view name_of(ByteView request) {
  const auto header = wire::SpdmHeader::decode(request);
  return header ? wire::spdm_name(header->code) : std::string_view();
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

std::optional<std::uint8_t> Faults::refuses_app(ByteView request) {
  return refuses_named(app_name(request));
}

void Faults::change_app(ByteView request, Bytes& answer) {
  change_named(app_name(request), app_code_at(answer), answer);
}

void Faults::change_discovery(Bytes& object) { change_named(kDiscovery, object.size(), object); }

Bytes Faults::carry(Bytes packet) {
  if (std::exchange(drops_, false)) return {};
  const bool delays = std::exchange(delays_, false);
  if (!delays && late_.empty()) return packet;
  Bytes before = std::exchange(late_, delays ? std::move(packet) : Bytes());
  return before;
}

}  // namespace teeio::serve
