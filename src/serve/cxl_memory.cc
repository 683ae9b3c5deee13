#include "serve/cxl_memory.h"

#include <algorithm>
#include <utility>

#include "crypto/random.h"
#include "serve/tsp_configuration.h"
#include "wire/cxl.h"

namespace teeio::serve {
namespace {

namespace cxl = wire::cxl;
namespace ide_km = wire::cxl::ide_km;
namespace tsp = wire::cxl::tsp;
using cxl::byte_at;
using ide_km::Object;
using tsp::Code;

constexpr std::size_t kReportBytes = 4;  // which parts are valid: none

std::size_t direction_of(ByteView message) {
  return (byte_at(message, ide_km::kKeyAt) & ide_km::kTx) != 0 ? 1 : 0;
}

/// The head of a response.
Writer head(Code request) {
  Writer out;
  out.le(tsp::kVersion10).le(static_cast<std::uint8_t>(std::to_underlying(request) & 0x7fU));
  return out;
}

/// A response that is only header and two reserved bytes.
Bytes bare(Code request) { return head(request).zeros(2).take(); }

Bytes error(tsp::Error code) {
  return Writer()
      .le(tsp::kVersion10)
      .le(tsp::kErrorResponse)
      .zeros(2)
      .le(std::uint32_t{std::to_underlying(code)})
      .zeros(4)
      .take();
}

/// Encryption of all memory with AES-XTS-256, read access control, and changes of the
/// TE state that are implicit or explicit and in-band, by 64 bytes or everything.
constexpr TspCapabilities kHas{.encryption = tsp::kEncryption,
                               .algorithms = 2,
                               .te_state = tsp::kReadAccess | tsp::kImplicit | tsp::kInBand,
                               .in_band = 0x8000'0001,
                               .configuration = tsp::kLockedUpdate};

Bytes capabilities() {
  return head(Code::kGetCapabilities)
      .le(static_cast<std::uint16_t>(kHas.encryption))
      .le(std::uint32_t{kHas.algorithms})
      .zeros(4)
      .le(static_cast<std::uint16_t>(kHas.te_state))
      .zeros(2)
      .le(kHas.out_of_band)
      .le(kHas.in_band)
      .le(static_cast<std::uint16_t>(kHas.configuration))
      .zeros(2)
      .le(kHas.ckids)
      .zeros(0x14)
      .take();
}

Bytes report(ByteView request) {
  Reader reader(request.subspan(tsp::kBareBytes));
  const auto offset = reader.le<std::uint16_t>();
  const auto length = reader.le<std::uint16_t>();
  if (offset >= kReportBytes || length == 0) return error(tsp::Error::kInvalidRequest);
  const std::size_t portion = std::min<std::size_t>(length, kReportBytes - offset);
  return head(Code::kGetReport)
      .zeros(2)
      .le(static_cast<std::uint16_t>(portion))
      .le(static_cast<std::uint16_t>(kReportBytes - offset - portion))
      .zeros(portion)
      .take();
}

/// How long a request is; nullopt: there is no such request here. SET_TARGET_TE_STATE has its
/// ranges behind that.
std::optional<std::size_t> size_of(Code request) {
  switch (request) {
    case Code::kGetVersion:
    case Code::kGetCapabilities:
    case Code::kGetConfiguration:
    case Code::kLock:
      return tsp::kBareBytes;
    case Code::kSetConfiguration:
      return tsp::kSetBytes;
    case Code::kGetReport:
      return tsp::kGetReportBytes;
    case Code::kSetTeState:
      return tsp::kTeStateBytes;
  }
  return std::nullopt;  // any number may come
}

bool has_its_size(Code request, ByteView message, std::size_t size) {
  if (request != Code::kSetTeState) return message.size() == size;
  constexpr std::size_t kCountAt = 3;
  constexpr unsigned kMostRanges = 32;
  const unsigned ranges = byte_at(message, kCountAt);
  return message.size() >= size && ranges > 0 && ranges <= kMostRanges &&
         message.size() == size + ranges * tsp::kTeRangeBytes;
}

Bytes with_protocol(cxl::Protocol protocol, const Bytes& message) {
  return Writer().le(std::to_underlying(protocol)).bytes(message).take();
}

}  // namespace

std::optional<Bytes> CxlMemory::answer(ByteView payload) {
  if (payload.empty()) return std::nullopt;
  const cxl::Protocol protocol{byte_at(payload, 0)};
  const ByteView message = payload.subspan(1);
  switch (protocol) {
    case cxl::Protocol::kIdeKm:
      if (const auto out = answer_ide_km(message)) return with_protocol(protocol, *out);
      return std::nullopt;
    case cxl::Protocol::kTsp:
      if (message.size() < tsp::kHeaderBytes) return std::nullopt;
      return with_protocol(protocol, answer_tsp(message));
  }
  return std::nullopt;
}

void CxlMemory::session_ended() {
  for (Port& port : ports_) port = {};
}

std::optional<Bytes> CxlMemory::answer_ide_km(ByteView message) {
  if (message.empty()) return std::nullopt;
  if (Object{byte_at(message, 0)} != Object::kQuery) return answer_key_message(message);
  const std::uint8_t port = byte_at(message, 2);
  if (message.size() != ide_km::kQueryBytes || port >= ports_.size()) return std::nullopt;
  const unsigned makes = generates_ ? ide_km::kIvGeneration | ide_km::kKeyGeneration : 0;
  return Writer()
      .le(std::to_underlying(Object::kQueryResp))
      .zeros(1)
      .le(port)
      .zeros(3)
      .le(static_cast<std::uint8_t>(ports_.size() - 1))
      .le(static_cast<std::uint8_t>(ide_km::kVersion1 | ide_km::kStops | makes))
      .take();
}

CxlMemory::Port* CxlMemory::port_of(ByteView message) {
  const std::size_t number = byte_at(message, ide_km::kPortAt);
  return number < ports_.size() ? &ports_[number] : nullptr;
}

/// A KEY_PROG may have any length, as KP_ACK can say so. Others have theirs, as in spdm-emu
/// library/cxl_ide_km_responder_lib.
std::optional<Bytes> CxlMemory::answer_key_message(ByteView message) {
  if (message.size() < ide_km::kKeyMessageBytes) return std::nullopt;
  const bool bare = message.size() == ide_km::kKeyMessageBytes;
  Port* const port = port_of(message);
  Bytes answer(message.begin(), message.begin() + ide_km::kKeyMessageBytes);
  answer[ide_km::kStatusAt] = std::byte{0};
  const auto as = [&answer](Object object) { answer[0] = std::byte{std::to_underlying(object)}; };
  switch (Object{byte_at(message, 0)}) {
    case Object::kKeyProg:
      as(Object::kKpAck);
      answer[ide_km::kStatusAt] = std::byte{program(message)};
      return answer;
    // What goes or stops without a key is acknowledged, too: there is no status for it, and
    // DMTF's requester goes on whatever KP_ACK said (spdm_requester_pci_doe.c).
    case Object::kSetGo:
    case Object::kSetStop:
      if (!bare) return std::nullopt;
      as(Object::kGoStopAck);
      if (port != nullptr) port->pending.at(direction_of(message)) = false;
      return answer;
    case Object::kGetKey: {
      if (!bare || !generates_ || port == nullptr) return std::nullopt;
      as(Object::kGetKeyAck);
      return Writer().bytes(answer).bytes(generate(*port)).take();
    }
    case Object::kQuery:
    case Object::kQueryResp:
    case Object::kKpAck:
    case Object::kGoStopAck:
    case Object::kGetKeyAck:
      break;
  }
  return std::nullopt;
}

Bytes CxlMemory::generate(Port& port) {
  port.generated.assign(ide_km::kKeyBytes + ide_km::kIvBytes, std::byte{});
  crypto::fill_random(port.generated);
  return port.generated;
}

/// The key that a port makes is the one that it sends with: what it receives with is made at the
/// other end, and whoever asked for none may bring one. (A reading: tee-io-validator's 2.7 says
/// the same of both directions.)
bool CxlMemory::is_as_generated(const Port& port, ByteView message) const {
  const bool initial_iv = (byte_at(message, ide_km::kKeyAt) & ide_km::kDefaultIv) == 0;
  if (initial_iv && !generates_) return false;
  if (direction_of(message) == 0 || port.generated.empty()) return true;
  const ByteView brought = message.subspan(ide_km::kKeyMessageBytes);
  const std::size_t compared = initial_iv ? port.generated.size() : ide_km::kKeyBytes;
  return std::ranges::equal(brought.first(compared), ByteView(port.generated).first(compared));
}

std::uint8_t CxlMemory::program(ByteView message) {
  const std::uint8_t key = byte_at(message, ide_km::kKeyAt);
  Port* const port = port_of(message);
  if (port == nullptr) return ide_km::kInvalid;
  bool& pending = port->pending.at(direction_of(message));
  const bool good = message.size() == ide_km::kWithKeyBytes &&
                    byte_at(message, ide_km::kStreamAt) == 0 &&
                    (key & ide_km::kSubStreamMask) == ide_km::kSubStream && !pending &&
                    is_as_generated(*port, message);
  if (!good) return ide_km::kInvalid;
  pending = true;
  return ide_km::kSuccess;
}

/// Order of the checks as spdm-emu library/cxl_tsp_responder_lib: the request, its length, its
/// version, the state, what it asks for.
Bytes CxlMemory::answer_tsp(ByteView message) {
  const Code request{byte_at(message, 1)};
  const auto size = size_of(request);
  if (!size) return error(tsp::Error::kUnsupportedRequest);
  if (!has_its_size(request, message, *size)) return error(tsp::Error::kInvalidRequest);
  if (byte_at(message, 0) != tsp::kVersion10) return error(tsp::Error::kVersionMismatch);
  switch (request) {
    case Code::kGetVersion:
      return Writer().bytes(bare(request)).le(std::uint8_t{1}).le(tsp::kVersion10).take();
    case Code::kGetCapabilities:
      return capabilities();
    case Code::kSetConfiguration:
      return set_configuration(message);
    case Code::kGetConfiguration:
      return get_configuration();
    case Code::kGetReport:
      return report(message);
    case Code::kLock:
      if (locked_) return error(tsp::Error::kAlreadyLocked);
      locked_ = true;
      return bare(request);
    case Code::kSetTeState:
      return locked_ ? bare(request) : error(tsp::Error::kInvalidSecurityState);
  }
  std::unreachable();  // size_of() knows it
}

Bytes CxlMemory::get_configuration() const {
  Bytes out = head(Code::kGetConfiguration).bytes(configuration_).take();
  out.resize(tsp::kConfigurationBytes);
  out[tsp::kStateAt] = std::byte{locked_};
  return out;
}

Bytes CxlMemory::set_configuration(ByteView message) {
  if (locked_) return error(tsp::Error::kInvalidSecurityState);
  const auto wanted = TspConfiguration::decode(message);
  if (!wanted || !fits(*wanted, kHas)) return error(tsp::Error::kInvalidRequest);
  const ByteView kept =
      message.subspan(tsp::kHeaderBytes, tsp::kConfigurationBytes - tsp::kHeaderBytes);
  configuration_.assign(kept.begin(), kept.end());
  constexpr std::size_t kFeaturesAt = 24 - tsp::kHeaderBytes;
  configuration_[kFeaturesAt] &= std::byte{tsp::kLockedUpdate};  // the others are not told
  return bare(Code::kSetConfiguration);
}

}  // namespace teeio::serve
