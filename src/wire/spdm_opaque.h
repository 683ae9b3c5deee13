#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm.h"

namespace teeio::wire {

/// How a connection lays out opaque data: general format 0 before 1.2 and when
/// OtherParams chose it, general format 1 when that was chosen.
enum class SpdmOpaqueFormat : std::uint8_t { k0, k1 };

/// One element of general opaque data.
struct SpdmOpaqueElement {
  std::uint8_t registry = 0;  ///< 0 is DMTF
  ByteView vendor_id{};
  ByteView data{};
};

/// General opaque data: the list in KEY_EXCHANGE, PSK_EXCHANGE and the others.
/// Source: DSP0277 1.0, 8.1 (format 0); DSP0274 1.2, 10.4.1.2 (format 1);
/// checked against libspdm spdm_secured_message.h. Elements are padded to whole
/// DWORDs in both.
struct SpdmOpaqueData {
  static constexpr std::size_t kMaxSize = 1024;  ///< bytes; DSP0274's limit for each message
  std::vector<SpdmOpaqueElement> elements;
  /// Errors: EINVAL when short, when another format, or when an element leaves
  /// the list; E2BIG above kMaxSize.
  static Result<SpdmOpaqueData> decode(ByteView in, SpdmOpaqueFormat format);
  [[nodiscard]] Bytes encode(SpdmOpaqueFormat format) const;
};

/// Secured-message versions, as BCD major.minor: 0x10 to 0x13 exist.
inline constexpr std::uint8_t kSecuredVersion10 = 0x10;
inline constexpr std::uint8_t kSecuredVersion11 = 0x11;
inline constexpr std::uint8_t kSecuredVersion12 = 0x12;
inline constexpr std::uint8_t kSecuredVersion13 = 0x13;

/// DMTF's element that offers versions of secured messages (in the request), and
/// the one that chooses (in the response). Source: DSP0277 1.0, 8.1.1.
[[nodiscard]] Bytes encode_secured_versions(const std::vector<std::uint8_t>& versions,
                                            SpdmOpaqueFormat format);
[[nodiscard]] Bytes encode_secured_version_choice(std::uint8_t version, SpdmOpaqueFormat format);
/// The versions offered; empty when there is no such element. Errors: as
/// SpdmOpaqueData::decode, and EINVAL for a malformed element.
Result<std::vector<std::uint8_t>> decode_secured_versions(ByteView opaque, SpdmOpaqueFormat format);
/// The version chosen; nullopt when there is no such element.
Result<std::optional<std::uint8_t>> decode_secured_version_choice(ByteView opaque,
                                                                  SpdmOpaqueFormat format);

}  // namespace teeio::wire
