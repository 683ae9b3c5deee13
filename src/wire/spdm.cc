#include "wire/spdm.h"

#include <array>
#include <utility>

#include "base/check.h"
#include "wire/spdm_codec.h"

namespace teeio::wire {
namespace {

using enum SpdmCode;

/// Source: DSP0274 1.4, tables "SPDM request codes" and "SPDM response codes".
constexpr std::array kRows{
    SpdmRow{kDigests, "DIGESTS", kSpdmVersion10, kGetDigests},
    SpdmRow{kCertificate, "CERTIFICATE", kSpdmVersion10, kGetCertificate},
    SpdmRow{kChallengeAuth, "CHALLENGE_AUTH", kSpdmVersion10, kChallenge},
    SpdmRow{kVersion, "VERSION", kSpdmVersion10, kGetVersion},
    SpdmRow{kChunkSendAck, "CHUNK_SEND_ACK", kSpdmVersion12, kChunkSend},
    SpdmRow{kChunkResponse, "CHUNK_RESPONSE", kSpdmVersion12, kChunkGet},
    SpdmRow{kEndpointInfo, "ENDPOINT_INFO", kSpdmVersion13, kGetEndpointInfo},
    SpdmRow{kSlotManagementResp, "SLOT_MANAGEMENT_RESP", kSpdmVersion14, kSlotManagement},
    SpdmRow{kMeasurements, "MEASUREMENTS", kSpdmVersion10, kGetMeasurements},
    SpdmRow{kCapabilities, "CAPABILITIES", kSpdmVersion10, kGetCapabilities},
    SpdmRow{kSupportedEventTypes, "SUPPORTED_EVENT_TYPES", kSpdmVersion13, kGetSupportedEventTypes},
    SpdmRow{kAlgorithms, "ALGORITHMS", kSpdmVersion10, kNegotiateAlgorithms},
    SpdmRow{kKeyExchangeRsp, "KEY_EXCHANGE_RSP", kSpdmVersion11, kKeyExchange},
    SpdmRow{kFinishRsp, "FINISH_RSP", kSpdmVersion11, kFinish},
    SpdmRow{kPskExchangeRsp, "PSK_EXCHANGE_RSP", kSpdmVersion11, kPskExchange},
    SpdmRow{kPskFinishRsp, "PSK_FINISH_RSP", kSpdmVersion11, kPskFinish},
    SpdmRow{kHeartbeatAck, "HEARTBEAT_ACK", kSpdmVersion11, kHeartbeat},
    SpdmRow{kKeyUpdateAck, "KEY_UPDATE_ACK", kSpdmVersion11, kKeyUpdate},
    SpdmRow{kEncapsulatedRequest, "ENCAPSULATED_REQUEST", kSpdmVersion11, kGetEncapsulatedRequest},
    SpdmRow{kEncapsulatedResponseAck, "ENCAPSULATED_RESPONSE_ACK", kSpdmVersion11,
            kDeliverEncapsulatedResponse},
    SpdmRow{kEndSessionAck, "END_SESSION_ACK", kSpdmVersion11, kEndSession},
    SpdmRow{kCsr, "CSR", kSpdmVersion12, kGetCsr},
    SpdmRow{kSetCertificateRsp, "SET_CERTIFICATE_RSP", kSpdmVersion12, kSetCertificate},
    SpdmRow{kMeasurementExtensionLog, "MEASUREMENT_EXTENSION_LOG", kSpdmVersion13,
            kGetMeasurementExtensionLog},
    SpdmRow{kSubscribeEventTypesAck, "SUBSCRIBE_EVENT_TYPES_ACK", kSpdmVersion13,
            kSubscribeEventTypes},
    SpdmRow{kEventAck, "EVENT_ACK", kSpdmVersion13, kSendEvent},
    SpdmRow{kKeyPairInfo, "KEY_PAIR_INFO", kSpdmVersion13, kGetKeyPairInfo},
    SpdmRow{kSetKeyPairInfoAck, "SET_KEY_PAIR_INFO_ACK", kSpdmVersion13, kSetKeyPairInfo},
    SpdmRow{kVendorDefinedResponse, "VENDOR_DEFINED_RESPONSE", kSpdmVersion10,
            kVendorDefinedRequest},
    SpdmRow{kError, "SPDM_ERROR", kSpdmVersion10, kError},
    SpdmRow{kGetDigests, "GET_DIGESTS", kSpdmVersion10, kDigests},
    SpdmRow{kGetCertificate, "GET_CERTIFICATE", kSpdmVersion10, kCertificate},
    SpdmRow{kChallenge, "CHALLENGE", kSpdmVersion10, kChallengeAuth},
    SpdmRow{kGetVersion, "GET_VERSION", kSpdmVersion10, kVersion},
    SpdmRow{kChunkSend, "CHUNK_SEND", kSpdmVersion12, kChunkSendAck},
    SpdmRow{kChunkGet, "CHUNK_GET", kSpdmVersion12, kChunkResponse},
    SpdmRow{kGetEndpointInfo, "GET_ENDPOINT_INFO", kSpdmVersion13, kEndpointInfo},
    SpdmRow{kSlotManagement, "SLOT_MANAGEMENT", kSpdmVersion14, kSlotManagementResp},
    SpdmRow{kGetMeasurements, "GET_MEASUREMENTS", kSpdmVersion10, kMeasurements},
    SpdmRow{kGetCapabilities, "GET_CAPABILITIES", kSpdmVersion10, kCapabilities},
    SpdmRow{kGetSupportedEventTypes, "GET_SUPPORTED_EVENT_TYPES", kSpdmVersion13,
            kSupportedEventTypes},
    SpdmRow{kNegotiateAlgorithms, "NEGOTIATE_ALGORITHMS", kSpdmVersion10, kAlgorithms},
    SpdmRow{kKeyExchange, "KEY_EXCHANGE", kSpdmVersion11, kKeyExchangeRsp},
    SpdmRow{kFinish, "FINISH", kSpdmVersion11, kFinishRsp},
    SpdmRow{kPskExchange, "PSK_EXCHANGE", kSpdmVersion11, kPskExchangeRsp},
    SpdmRow{kPskFinish, "PSK_FINISH", kSpdmVersion11, kPskFinishRsp},
    SpdmRow{kHeartbeat, "HEARTBEAT", kSpdmVersion11, kHeartbeatAck},
    SpdmRow{kKeyUpdate, "KEY_UPDATE", kSpdmVersion11, kKeyUpdateAck},
    SpdmRow{kGetEncapsulatedRequest, "GET_ENCAPSULATED_REQUEST", kSpdmVersion11,
            kEncapsulatedRequest},
    SpdmRow{kDeliverEncapsulatedResponse, "DELIVER_ENCAPSULATED_RESPONSE", kSpdmVersion11,
            kEncapsulatedResponseAck},
    SpdmRow{kEndSession, "END_SESSION", kSpdmVersion11, kEndSessionAck},
    SpdmRow{kGetCsr, "GET_CSR", kSpdmVersion12, kCsr},
    SpdmRow{kSetCertificate, "SET_CERTIFICATE", kSpdmVersion12, kSetCertificateRsp},
    SpdmRow{kGetMeasurementExtensionLog, "GET_MEASUREMENT_EXTENSION_LOG", kSpdmVersion13,
            kMeasurementExtensionLog},
    SpdmRow{kSubscribeEventTypes, "SUBSCRIBE_EVENT_TYPES", kSpdmVersion13, kSubscribeEventTypesAck},
    SpdmRow{kSendEvent, "SEND_EVENT", kSpdmVersion13, kEventAck},
    SpdmRow{kGetKeyPairInfo, "GET_KEY_PAIR_INFO", kSpdmVersion13, kKeyPairInfo},
    SpdmRow{kSetKeyPairInfo, "SET_KEY_PAIR_INFO", kSpdmVersion13, kSetKeyPairInfoAck},
    SpdmRow{kVendorDefinedRequest, "VENDOR_DEFINED_REQUEST", kSpdmVersion10,
            kVendorDefinedResponse},
    SpdmRow{kRespondIfReady, "RESPOND_IF_READY", kSpdmVersion10, kRespondIfReady},
};

/// Row number of each code, plus one; 0: none.
constexpr std::array<std::uint8_t, 256> kRowOf = [] {
  std::array<std::uint8_t, 256> rows{};
  for (std::size_t i = 0; i < kRows.size(); ++i)
    rows[std::to_underlying(kRows[i].code)] = static_cast<std::uint8_t>(i + 1);
  return rows;
}();

}  // namespace

std::span<const SpdmRow> spdm_messages() { return kRows; }

const SpdmRow* spdm_row(std::uint8_t code) {
  const std::size_t row = kRowOf[code];
  return row == 0 ? nullptr : &kRows[row - 1];
}

std::string_view spdm_name(std::uint8_t code) {
  const SpdmRow* row = spdm_row(code);
  return row == nullptr ? "SPDM_UNKNOWN" : row->name;
}

Result<SpdmHeader> SpdmHeader::decode(ByteView in) {
  if (in.size() < kSize) return fail(Errno::kInval, "SPDM header is short");
  Reader r(in);
  SpdmHeader header;
  header.version = r.le<std::uint8_t>();
  header.code = r.le<std::uint8_t>();
  header.param1 = r.le<std::uint8_t>();
  header.param2 = r.le<std::uint8_t>();
  if (header.version >> 4U != 1) return fail(Errno::kInval, "SPDM major version is not 1");
  return header;
}

SpdmReader::SpdmReader(ByteView in, SpdmCode code) : in_(in), reader_(in) { open(code); }

void SpdmReader::open(SpdmCode code) {
  const auto header = SpdmHeader::decode(in_);
  if (!header) return refuse(header.error().code, header.error().why);
  header_ = *header;
  reader_.skip(SpdmHeader::kSize);
  if (header_.code != std::to_underlying(code))
    return refuse(Errno::kInval, "SPDM message has another code");
  if (header_.version > kSpdmVersion14)
    return refuse(Errno::kOpNotSupp, "SPDM version is later than 1.4");
  if (header_.version < spdm_row(header_.code)->since)
    return refuse(Errno::kOpNotSupp, "SPDM message is of a later version than its header says");
}

void write_opaque(Writer& w, ByteView bytes) {
  TEEIO_CHECK(bytes.size() <= 0xffff, "opaque data has two bytes for its length");
  w.le(static_cast<std::uint16_t>(bytes.size())).bytes(bytes);
}

template <SpdmCode Code>
Result<SpdmBare<Code>> SpdmBare<Code>::decode(ByteView in) {
  const SpdmReader r(in, Code);
  return r.finish(SpdmBare{.version = r.version()});
}

template <SpdmCode Code>
Bytes SpdmBare<Code>::encode() const {
  return begin_spdm(version, Code).take();
}

template struct SpdmBare<kGetDigests>;
template struct SpdmBare<kHeartbeat>;
template struct SpdmBare<kHeartbeatAck>;
template struct SpdmBare<kEndSessionAck>;
template struct SpdmBare<kGetEncapsulatedRequest>;
template struct SpdmBare<kGetSupportedEventTypes>;
template struct SpdmBare<kSubscribeEventTypesAck>;
template struct SpdmBare<kEventAck>;
template struct SpdmBare<kSetKeyPairInfoAck>;

Result<SpdmGetVersion> SpdmGetVersion::decode(ByteView in) {
  TEEIO_ASSIGN(const SpdmHeader header, SpdmHeader::decode(in));
  if (header.code != std::to_underlying(kGetVersion))
    return fail(Errno::kInval, "SPDM message is not GET_VERSION");
  return SpdmGetVersion{in.first(SpdmHeader::kSize)};
}

Bytes SpdmGetVersion::encode() const { return encode_spdm_get_version(); }

Bytes encode_spdm_get_version() { return begin_spdm(kSpdmVersion10, kGetVersion).take(); }

Result<SpdmVersionResponse> SpdmVersionResponse::decode(ByteView in) {
  SpdmReader r(in, kVersion);
  r.skip(1);
  const std::size_t count = r.u8();
  Reader entries(r.take(2 * count));
  SpdmVersionResponse response;
  for (std::size_t i = 0; i < count && r.ok(); ++i)
    response.versions.push_back(static_cast<std::uint8_t>(entries.le<std::uint16_t>() >> 8U));
  return r.finish(std::move(response));
}

Bytes SpdmVersionResponse::encode() const {
  TEEIO_CHECK(versions.size() <= 255, "VERSION has one byte for its entry count");
  Writer w = begin_spdm(kSpdmVersion10, kVersion);
  w.zeros(1).le(static_cast<std::uint8_t>(versions.size()));
  for (const std::uint8_t version : versions) w.le(static_cast<std::uint16_t>(version << 8U));
  return w.take();
}

}  // namespace teeio::wire
