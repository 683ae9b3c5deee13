#include "serve/cxl_memory.h"

#include <algorithm>

namespace teeio::serve {
namespace {

enum class Protocol : std::uint8_t { kIdeKm = 0, kTsp = 1 };

// IDE_KM objects. Those that only name a key have seven bytes: object, two reserved,
// stream, reserved or status, key, port.
constexpr std::uint8_t kQuery = 0;
constexpr std::uint8_t kQueryResp = 1;
constexpr std::uint8_t kKeyProg = 2;
constexpr std::uint8_t kKpAck = 3;
constexpr std::uint8_t kSetGo = 4;
constexpr std::uint8_t kSetStop = 5;
constexpr std::uint8_t kGoStopAck = 6;
constexpr std::size_t kKeyMessage = 7;
constexpr std::size_t kKeyProgBytes = kKeyMessage + 32 + 12;  // key, initial IV
constexpr std::uint8_t kVersion1WithStop = 0x41;              // CAPS of QUERY_RESP
// The key byte: direction in bit 1, default IV in bit 3, CXL's sub-stream in bits 7:4.
constexpr std::uint8_t kDirection = 0x02;
constexpr std::uint8_t kDefaultIv = 0x08;
constexpr std::uint8_t kSubStreamMask = 0xf0;
constexpr std::uint8_t kCxlSubStream = 0x80;

// TSP requests; a response has the code without bit 7.
constexpr std::uint8_t kTspVersion10 = 0x10;
constexpr std::uint8_t kGetVersion = 0x81;
constexpr std::uint8_t kGetCapabilities = 0x82;
constexpr std::uint8_t kSetConfiguration = 0x83;
constexpr std::uint8_t kGetConfiguration = 0x84;
constexpr std::uint8_t kGetReport = 0x85;
constexpr std::uint8_t kLockTarget = 0x86;
constexpr std::uint8_t kSetTeState = 0x8d;
constexpr std::uint8_t kTspError = 0x7f;
constexpr std::uint16_t kErrorInvalidRequest = 1;
constexpr std::uint16_t kErrorUnsupportedRequest = 4;
constexpr std::uint16_t kErrorInvalidSecurityState = 0x0b;
constexpr std::uint16_t kErrorAlreadyLocked = 0x0d;
constexpr std::size_t kHeader = 2;
constexpr std::size_t kConfigurationBytes = 192;  // of the response, header included
constexpr std::size_t kStateAt = 36;
constexpr std::size_t kReportBytes = 4;  // which parts are valid: none

std::uint8_t byte_at(ByteView in, std::size_t at) { return std::to_integer<std::uint8_t>(in[at]); }

/// A response that is only header and two reserved bytes.
Bytes bare(std::uint8_t request) {
  return Writer()
      .le(kTspVersion10)
      .le(static_cast<std::uint8_t>(request & 0x7fU))
      .le(std::uint16_t{0})
      .take();
}

Bytes error(std::uint16_t code) {
  return Writer().le(kTspVersion10).le(kTspError).le(std::uint16_t{0}).le(code).zeros(6).take();
}

/// Encryption of all memory with AES-XTS-256, read access control, and changes of the
/// TE state that are implicit or explicit and in-band, by 64 bytes or everything.
Bytes capabilities() {
  Writer out;
  out.le(kTspVersion10).le(static_cast<std::uint8_t>(kGetCapabilities & 0x7fU));
  out.le(std::uint16_t{1}).le(std::uint32_t{2}).le(std::uint16_t{0}).zeros(2);
  out.le(std::uint16_t{0x16}).zeros(2).le(std::uint32_t{0}).le(std::uint32_t{0x8000'0001});
  out.le(std::uint16_t{1}).zeros(2).le(std::uint32_t{0}).le(std::uint8_t{0}).zeros(0x13);
  return out.take();
}

Bytes report(ByteView request) {
  constexpr std::size_t kRequest = 8;
  if (request.size() < kRequest) return error(kErrorInvalidRequest);
  Reader reader(request.subspan(4));
  const auto offset = reader.le<std::uint16_t>();
  const auto length = reader.le<std::uint16_t>();
  if (offset >= kReportBytes || length == 0) return error(kErrorInvalidRequest);
  const std::size_t portion = std::min<std::size_t>(length, kReportBytes - offset);
  return Writer()
      .bytes(bare(kGetReport))
      .le(static_cast<std::uint16_t>(portion))
      .le(static_cast<std::uint16_t>(kReportBytes - offset - portion))
      .zeros(portion)
      .take();
}

Bytes with_protocol(Protocol protocol, const Bytes& message) {
  return Writer().le(static_cast<std::uint8_t>(protocol)).bytes(message).take();
}

}  // namespace

std::optional<Bytes> CxlMemory::answer(ByteView payload) {
  if (payload.empty()) return std::nullopt;
  const Protocol protocol{byte_at(payload, 0)};
  if (protocol != Protocol::kIdeKm && protocol != Protocol::kTsp) return std::nullopt;
  const ByteView message = payload.subspan(1);
  const auto out = protocol == Protocol::kIdeKm ? answer_ide_km(message) : answer_tsp(message);
  return out ? std::optional(with_protocol(protocol, *out)) : std::nullopt;
}

std::optional<Bytes> CxlMemory::answer_ide_km(ByteView message) {
  if (message.size() < 3) return std::nullopt;
  const std::uint8_t object = byte_at(message, 0);
  if (object == kQuery && byte_at(message, 2) == 0)
    return Writer().le(kQueryResp).zeros(6).le(kVersion1WithStop).take();
  const bool programs = object == kKeyProg;
  const bool switches = object == kSetGo || object == kSetStop;
  if ((!programs && !switches) || message.size() < kKeyMessage) return std::nullopt;
  Bytes answer(message.begin(), message.begin() + kKeyMessage);
  answer[0] = std::byte{programs ? kKpAck : kGoStopAck};
  answer[4] = std::byte{programs ? program(message) : std::uint8_t{0}};
  // What goes or stops without a key is acknowledged, too: there is no status for it, and DMTF's
  // requester goes on whatever KP_ACK said (spdm_requester_pci_doe.c).
  if (switches) pending_.at((byte_at(message, 5) & kDirection) >> 1U) = false;
  return answer;
}

std::uint8_t CxlMemory::program(ByteView message) {
  const std::uint8_t key = byte_at(message, 5);
  bool& pending = pending_.at((key & kDirection) >> 1U);
  const bool good = message.size() == kKeyProgBytes && byte_at(message, 3) == 0 &&
                    byte_at(message, 6) == 0 && (key & kSubStreamMask) == kCxlSubStream &&
                    (key & kDefaultIv) != 0 && !pending;
  if (!good) return 1;
  pending = true;
  return 0;
}

std::optional<Bytes> CxlMemory::answer_tsp(ByteView message) {
  if (message.size() < kHeader) return std::nullopt;
  const std::uint8_t request = byte_at(message, 1);
  switch (request) {
    case kGetVersion:
      return Writer().bytes(bare(request)).le(std::uint8_t{1}).le(kTspVersion10).take();
    case kGetCapabilities:
      return capabilities();
    case kSetConfiguration:
      return set_configuration(message);
    case kGetConfiguration: {
      Bytes out{std::byte{kTspVersion10}, std::byte{kGetConfiguration & 0x7f}};
      out.insert(out.end(), configuration_.begin(), configuration_.end());
      out.resize(kConfigurationBytes);
      out[kStateAt] = std::byte{locked_};
      return out;
    }
    case kGetReport:
      return report(message);
    case kLockTarget:
      if (locked_) return error(kErrorAlreadyLocked);
      locked_ = true;
      return bare(request);
    case kSetTeState:
      return locked_ ? bare(request) : error(kErrorInvalidSecurityState);
    default:  // any number may come
      return error(kErrorUnsupportedRequest);
  }
}

Bytes CxlMemory::set_configuration(ByteView message) {
  if (locked_) return error(kErrorInvalidSecurityState);
  if (message.size() < kConfigurationBytes) return error(kErrorInvalidRequest);
  const ByteView kept = message.subspan(kHeader, kConfigurationBytes - kHeader);
  configuration_.assign(kept.begin(), kept.end());
  return bare(kSetConfiguration);
}

}  // namespace teeio::serve
