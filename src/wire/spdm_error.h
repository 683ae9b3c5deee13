#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm.h"

namespace teeio::wire {

/// Error codes of the ERROR response. Source: DSP0274, table "Error code and
/// error data"; the comment says since when, and what else travels.
enum class SpdmErrorCode : std::uint8_t {
  kInvalidRequest = 0x01,
  kBusy = 0x03,
  kUnexpectedRequest = 0x04,
  kUnspecified = 0x05,
  kDecryptError = 0x06,         ///< 1.1
  kUnsupportedRequest = 0x07,   ///< data: the request's code
  kRequestInFlight = 0x08,      ///< 1.1
  kInvalidResponseCode = 0x09,  ///< 1.1
  kSessionLimitExceeded = 0x0a,
  kSessionRequired = 0x0b,   ///< 1.2
  kResetRequired = 0x0c,     ///< 1.2; data: slot
  kResponseTooLarge = 0x0d,  ///< 1.2; extended: u32 size
  kRequestTooLarge = 0x0e,   ///< 1.2
  kLargeResponse = 0x0f,     ///< 1.2; extended: SpdmLargeResponse
  kMessageLost = 0x10,       ///< 1.2
  kInvalidPolicy = 0x11,     ///< 1.3
  kDataTooLarge = 0x12,      ///< 1.4; extended: u32 size
  kVersionMismatch = 0x41,
  kResponseNotReady = 0x42,  ///< extended: SpdmNotReady
  kRequestResynch = 0x43,
  kOperationFailed = 0x44,           ///< 1.3
  kNoPendingRequests = 0x45,         ///< 1.3
  kRequestSessionTerminated = 0x46,  ///< 1.4
  kInvalidState = 0x47,              ///< 1.4
  kVendorDefined = 0xff,             ///< data: registry; extended: SpdmVendorError
};
/// "InvalidRequest"; "SPDM_ERROR_UNKNOWN" for a code outside the enumeration.
[[nodiscard]] std::string_view spdm_error_name(std::uint8_t code);

/// ERROR.
struct SpdmError {
  static constexpr SpdmCode kCode = SpdmCode::kError;
  static constexpr std::size_t kMaxExtended = 32;  ///< bytes
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t code = 0;  ///< an SpdmErrorCode, or one that a newer peer knows
  std::uint8_t data = 0;
  ByteView extended{};  ///< as long as `code` says; for codes without a fixed form, what was left
  ByteView wire{};
  static Result<SpdmError> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;  ///< Precondition: at most kMaxExtended bytes `extended`
};

/// Extended data of ResponseNotReady.
struct SpdmNotReady {
  std::uint8_t delay_exponent = 0;  ///< RDTExponent: ready after 2^n µs
  std::uint8_t request_code = 0;
  std::uint8_t token = 0;
  std::uint8_t delay_multiplier = 1;  ///< RDTM: the response is kept that many delays
  static Result<SpdmNotReady> decode(ByteView extended);
  [[nodiscard]] Bytes encode() const;
};

/// Extended data of LargeResponse.
struct SpdmLargeResponse {
  std::uint8_t handle = 0;  ///< for CHUNK_GET
  static Result<SpdmLargeResponse> decode(ByteView extended);
  [[nodiscard]] Bytes encode() const;
};

/// Extended data of ResponseTooLarge and DataTooLarge.
struct SpdmTooLarge {
  std::uint32_t size = 0;  ///< bytes that would have been needed
  static Result<SpdmTooLarge> decode(ByteView extended);
  [[nodiscard]] Bytes encode() const;
};

/// Extended data of VendorDefined; the registry is the ERROR's `data`.
struct SpdmVendorError {
  ByteView vendor_id{};
  ByteView opaque{};
  static Result<SpdmVendorError> decode(ByteView extended);
  [[nodiscard]] Bytes encode() const;
};

/// RESPOND_IF_READY: asks again for what ResponseNotReady put off.
struct SpdmRespondIfReady {
  static constexpr SpdmCode kCode = SpdmCode::kRespondIfReady;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t request_code = 0;
  std::uint8_t token = 0;
  ByteView wire{};
  static Result<SpdmRespondIfReady> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
