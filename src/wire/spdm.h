#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::wire {

inline constexpr std::uint8_t kSpdmVersion10 = 0x10;  ///< of every GET_VERSION and VERSION
inline constexpr std::uint8_t kSpdmVersion12 = 0x12;

/// The SPDM messages that are spoken; requests have bit 7 set.
/// Source: DSP0274 1.2 table 4 and 5; checked against libspdm spdm.h.
enum class SpdmCode : std::uint8_t {
  kVersion = 0x04,
  kVendorDefinedResponse = 0x7e,
  kError = 0x7f,
  kGetVersion = 0x84,
  kVendorDefinedRequest = 0xfe,
};
/// "GET_VERSION"; "SPDM_UNKNOWN" for a code outside the enumeration.
[[nodiscard]] std::string_view spdm_name(std::uint8_t code);

/// Error codes of the ERROR response. Source: DSP0274 1.2 table 58.
enum class SpdmErrorCode : std::uint8_t {
  kInvalidRequest = 0x01,
  kBusy = 0x03,
  kUnexpectedRequest = 0x04,
  kUnspecified = 0x05,
  kUnsupportedRequest = 0x07,
  kVersionMismatch = 0x41,
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

/// GET_VERSION: a header alone, always of version 1.0.
[[nodiscard]] Bytes encode_spdm_get_version();

/// VERSION: the versions that a responder speaks.
struct SpdmVersionResponse {
  std::vector<std::uint8_t> versions;  ///< BCD major.minor, as in headers

  /// Update and alpha numbers are dropped. Padding behind the list is ignored.
  /// Errors: EINVAL when `in` is another message or short.
  static Result<SpdmVersionResponse> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;  ///< Precondition: at most 255 versions
};

/// ERROR.
struct SpdmError {
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t code = 0;  ///< an SpdmErrorCode, or one that a newer peer knows
  std::uint8_t data = 0;
  /// Errors: EINVAL when `in` is another message or short.
  static Result<SpdmError> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
