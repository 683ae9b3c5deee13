#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::wire {

/// What all SPDM messages share: versions, codes, the table of messages, the
/// header, and the messages that exist before a version is agreed (GET_VERSION,
/// VERSION). ERROR is in spdm_error.h, the others by theme in spdm_*.h.
///
/// One manner for every message struct: `version` is the header's; decode() is
/// total, checks code and version against the message's table row, ignores
/// reserved bits, and leaves in `wire` exactly the bytes that the message took,
/// so that a transcript never contains the transport's padding. Views look into
/// what decode() was given and live as long. encode() does not look at `wire`.
/// decode() fails with EINVAL for a short message, another message, or lengths
/// that contradict each other; with EOPNOTSUPP when the message does not exist
/// in the version that its header states.
///
/// Source: DSP0274 1.0 to 1.4; layouts checked against libspdm spdm.h.

inline constexpr std::uint8_t kSpdmVersion10 = 0x10;  ///< of every GET_VERSION and VERSION
inline constexpr std::uint8_t kSpdmVersion11 = 0x11;
inline constexpr std::uint8_t kSpdmVersion12 = 0x12;
inline constexpr std::uint8_t kSpdmVersion13 = 0x13;
inline constexpr std::uint8_t kSpdmVersion14 = 0x14;

/// Requests have bit 7 set.
enum class SpdmCode : std::uint8_t {
  kDigests = 0x01,
  kCertificate = 0x02,
  kChallengeAuth = 0x03,
  kVersion = 0x04,
  kChunkSendAck = 0x05,
  kChunkResponse = 0x06,
  kEndpointInfo = 0x07,
  kSlotManagementResp = 0x08,
  kMeasurements = 0x60,
  kCapabilities = 0x61,
  kSupportedEventTypes = 0x62,
  kAlgorithms = 0x63,
  kKeyExchangeRsp = 0x64,
  kFinishRsp = 0x65,
  kPskExchangeRsp = 0x66,
  kPskFinishRsp = 0x67,
  kHeartbeatAck = 0x68,
  kKeyUpdateAck = 0x69,
  kEncapsulatedRequest = 0x6a,
  kEncapsulatedResponseAck = 0x6b,
  kEndSessionAck = 0x6c,
  kCsr = 0x6d,
  kSetCertificateRsp = 0x6e,
  kMeasurementExtensionLog = 0x6f,
  kSubscribeEventTypesAck = 0x70,
  kEventAck = 0x71,
  kKeyPairInfo = 0x7c,
  kSetKeyPairInfoAck = 0x7d,
  kVendorDefinedResponse = 0x7e,
  kError = 0x7f,
  kGetDigests = 0x81,
  kGetCertificate = 0x82,
  kChallenge = 0x83,
  kGetVersion = 0x84,
  kChunkSend = 0x85,
  kChunkGet = 0x86,
  kGetEndpointInfo = 0x87,
  kSlotManagement = 0x88,
  kGetMeasurements = 0xe0,
  kGetCapabilities = 0xe1,
  kGetSupportedEventTypes = 0xe2,
  kNegotiateAlgorithms = 0xe3,
  kKeyExchange = 0xe4,
  kFinish = 0xe5,
  kPskExchange = 0xe6,
  kPskFinish = 0xe7,
  kHeartbeat = 0xe8,
  kKeyUpdate = 0xe9,
  kGetEncapsulatedRequest = 0xea,
  kDeliverEncapsulatedResponse = 0xeb,
  kEndSession = 0xec,
  kGetCsr = 0xed,
  kSetCertificate = 0xee,
  kGetMeasurementExtensionLog = 0xef,
  kSubscribeEventTypes = 0xf0,
  kSendEvent = 0xf1,
  kGetKeyPairInfo = 0xfc,
  kSetKeyPairInfo = 0xfd,
  kVendorDefinedRequest = 0xfe,
  kRespondIfReady = 0xff,
};

/// One message: everything that names, dates or directs it comes from here.
struct SpdmRow {
  SpdmCode code;
  std::string_view name;
  std::uint8_t since;  ///< the first SPDM version that has it
  SpdmCode peer;       ///< a request's response, a response's request; kError's is itself
};
[[nodiscard]] std::span<const SpdmRow> spdm_messages();
/// nullptr for a code outside the table.
[[nodiscard]] const SpdmRow* spdm_row(std::uint8_t code);
/// "GET_VERSION"; "SPDM_UNKNOWN" for a code outside the table.
[[nodiscard]] std::string_view spdm_name(std::uint8_t code);
/// A request comes from the requester; an encapsulated one from the responder.
[[nodiscard]] constexpr bool is_spdm_request(SpdmCode code) {
  return (static_cast<unsigned>(code) & 0x80U) != 0;
}

/// Sizes in bytes that were negotiated, and what the request asked for: what a
/// decoder must know beyond the message. Zero: the field is absent.
struct SpdmSizes {
  std::size_t hash = 0;               ///< of the base hash algorithm
  std::size_t signature = 0;          ///< of whoever signs the message at hand
  std::size_t exchange_request = 0;   ///< KEY_EXCHANGE's ExchangeData
  std::size_t exchange_response = 0;  ///< KEY_EXCHANGE_RSP's
  std::size_t summary_hash = 0;       ///< `hash` when the request asked for a summary
  std::size_t verify_data = 0;        ///< of the message at hand: `hash`, or 0 when it has none
  bool multi_key = false;             ///< 1.3: DIGESTS carries its key tables
};

/// The four bytes that begin every SPDM message.
struct SpdmHeader {
  static constexpr std::size_t kSize = 4;
  std::uint8_t version = kSpdmVersion12;  ///< BCD major.minor
  std::uint8_t code = 0;
  std::uint8_t param1 = 0;
  std::uint8_t param2 = 0;
  /// Errors: EINVAL when `in` is short or the major version is not 1.
  static Result<SpdmHeader> decode(ByteView in);
};

/// A message that is only a header without parameters.
template <SpdmCode Code>
struct SpdmBare {
  static constexpr SpdmCode kCode = Code;
  std::uint8_t version = kSpdmVersion12;
  ByteView wire{};
  static Result<SpdmBare> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};
using SpdmGetDigests = SpdmBare<SpdmCode::kGetDigests>;
using SpdmHeartbeat = SpdmBare<SpdmCode::kHeartbeat>;
using SpdmHeartbeatAck = SpdmBare<SpdmCode::kHeartbeatAck>;
using SpdmEndSessionAck = SpdmBare<SpdmCode::kEndSessionAck>;
using SpdmGetEncapsulatedRequest = SpdmBare<SpdmCode::kGetEncapsulatedRequest>;
using SpdmGetSupportedEventTypes = SpdmBare<SpdmCode::kGetSupportedEventTypes>;
using SpdmSubscribeEventTypesAck = SpdmBare<SpdmCode::kSubscribeEventTypesAck>;
using SpdmEventAck = SpdmBare<SpdmCode::kEventAck>;
using SpdmSetKeyPairInfoAck = SpdmBare<SpdmCode::kSetKeyPairInfoAck>;

/// GET_VERSION: a header alone, always of version 1.0.
struct SpdmGetVersion {
  static constexpr SpdmCode kCode = SpdmCode::kGetVersion;
  ByteView wire{};
  /// Takes any minor version in the header (a responder answers those with
  /// VersionMismatch, which is its decision): look at SpdmHeader.
  static Result<SpdmGetVersion> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};
[[nodiscard]] Bytes encode_spdm_get_version();

/// VERSION: the versions that a responder speaks.
struct SpdmVersionResponse {
  static constexpr SpdmCode kCode = SpdmCode::kVersion;
  std::vector<std::uint8_t> versions{};  ///< BCD major.minor, as in headers
  ByteView wire{};

  /// Update and alpha numbers are dropped.
  static Result<SpdmVersionResponse> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;  ///< Precondition: at most 255 versions
};

}  // namespace teeio::wire
