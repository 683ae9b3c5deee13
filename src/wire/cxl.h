#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

/// CXL's own protocols in vendor-defined messages of SPDM: IDE_KM and TSP.
/// Source: CXL 3.1, 11.4 and 11.5, as libspdm include/industry_standard/cxl_idekm.h and
/// cxl_tsp.h have their numbers and layouts.
namespace teeio::wire::cxl {

/// A byte of a message as a number; 0xff behind its end.
[[nodiscard]] inline std::uint8_t byte_at(ByteView in, std::size_t at) {
  return at < in.size() ? std::to_integer<std::uint8_t>(in[at]) : std::uint8_t{0xff};
}

inline constexpr std::uint16_t kVendorId = 0x1e98;

/// The first byte of a payload under that vendor ID.
enum class Protocol : std::uint8_t { kIdeKm = 0, kTsp = 1 };

namespace ide_km {

enum class Object : std::uint8_t {
  kQuery = 0,
  kQueryResp = 1,
  kKeyProg = 2,
  kKpAck = 3,
  kSetGo = 4,
  kSetStop = 5,
  kGoStopAck = 6,
  kGetKey = 7,
  kGetKeyAck = 8,
};
inline constexpr std::size_t kQueryBytes = 3;      ///< object, reserved, port
inline constexpr std::size_t kQueryRespBytes = 8;  ///< and the IDE capability
/// Whatever names a key: object, two reserved, stream, reserved or status, key, port.
inline constexpr std::size_t kKeyMessageBytes = 7;
inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kIvBytes = 12;
/// KEY_PROG and GETKEY_ACK.
inline constexpr std::size_t kWithKeyBytes = kKeyMessageBytes + kKeyBytes + kIvBytes;
// Where the fields of a message that names a key are.
inline constexpr std::size_t kStreamAt = 3, kStatusAt = 4, kKeyAt = 5, kPortAt = 6;
// The key byte.
inline constexpr std::uint8_t kRx = 0x00, kTx = 0x02, kDefaultIv = 0x08, kSubStream = 0x80,
                              kSubStreamMask = 0xf0;
// CAPS of QUERY_RESP.
inline constexpr std::uint8_t kVersionMask = 0x0f, kVersion1 = 0x01, kIvGeneration = 0x10,
                              kKeyGeneration = 0x20, kStops = 0x40;
// Status of KP_ACK.
inline constexpr std::uint8_t kSuccess = 0, kInvalid = 1;

}  // namespace ide_km

namespace tsp {

inline constexpr std::uint8_t kVersion10 = 0x10;
/// Requests; a response has the code without bit 7.
enum class Code : std::uint8_t {
  kGetVersion = 0x81,
  kGetCapabilities = 0x82,
  kSetConfiguration = 0x83,
  kGetConfiguration = 0x84,
  kGetReport = 0x85,
  kLock = 0x86,
  kSetTeState = 0x8d,
};
inline constexpr std::uint8_t kErrorResponse = 0x7f;
enum class Error : std::uint16_t {
  kInvalidRequest = 0x01,
  kUnsupportedRequest = 0x04,
  kVersionMismatch = 0x05,
  kInvalidSecurityConfiguration = 0x0a,
  kInvalidSecurityState = 0x0b,
  kAlreadyLocked = 0x0d,
};
/// Of whole messages.
inline constexpr std::size_t kHeaderBytes = 2;
inline constexpr std::size_t kBareBytes = 4;  ///< header, two reserved
inline constexpr std::size_t kCapabilitiesBytes = 0x34;
inline constexpr std::size_t kSetBytes = 0x160;  ///< SET_TARGET_CONFIGURATION
inline constexpr std::size_t kConfigurationBytes = 0xc0;
inline constexpr std::size_t kGetReportBytes = 8;
inline constexpr std::size_t kErrorCodeAt = 4;      ///< of an error response
inline constexpr std::size_t kStateAt = 0x24;       ///< of GET_TARGET_CONFIGURATION_RSP
inline constexpr std::size_t kTeStateBytes = 0x10;  ///< SET_TARGET_TE_STATE without its ranges
inline constexpr std::size_t kTeRangeBytes = 0x10;

// Memory encryption features. The same feature has another bit where it is enabled than where it
// is announced.
inline constexpr unsigned kEncryption = 1, kCkidBased = 2, kRangeBased = 4;
inline constexpr unsigned kCkidRequiredSupported = 0x10, kCkidRequiredEnabled = 8;
/// What may be enabled where `supported` is announced.
[[nodiscard]] constexpr unsigned can_be_enabled(unsigned supported) {
  const unsigned required = (supported & kCkidRequiredSupported) != 0 ? kCkidRequiredEnabled : 0;
  return (supported & (kEncryption | kCkidBased | kRangeBased)) | required;
}
inline constexpr unsigned kAesXts = 3;  ///< 128 and 256
// TE state features.
inline constexpr unsigned kWriteAccess = 1, kReadAccess = 2, kImplicit = 4, kOutOfBand = 8,
                          kInBand = 0x10, kSanitize = 0x20;
/// Configuration features: only this one is both announced and enabled.
inline constexpr unsigned kLockedUpdate = 1;

}  // namespace tsp

}  // namespace teeio::wire::cxl
