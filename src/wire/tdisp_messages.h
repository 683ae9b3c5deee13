#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "wire/tdisp.h"
#include "wire/tdisp_report.h"

namespace teeio::wire {

/// The bodies of TDISP messages: what follows the header.
/// Source: PCIe Base Spec 11.3.4–11.3.25; layouts checked against libspdm
/// pci_tdisp.h. Each names its code, from which the header is made.

/// A message that is only a header.
template <TdispCode Code>
struct TdispBare {
  static constexpr TdispCode kCode = Code;
  bool operator==(const TdispBare&) const = default;
};
using TdispGetVersion = TdispBare<TdispCode::kGetVersion>;
using TdispGetInterfaceState = TdispBare<TdispCode::kGetDeviceInterfaceState>;
using TdispStopInterface = TdispBare<TdispCode::kStopInterface>;
using TdispStartInterfaceResponse = TdispBare<TdispCode::kStartInterfaceResponse>;
using TdispStopInterfaceResponse = TdispBare<TdispCode::kStopInterfaceResponse>;
using TdispBindP2pStreamResponse = TdispBare<TdispCode::kBindP2pStreamResponse>;
using TdispUnbindP2pStreamResponse = TdispBare<TdispCode::kUnbindP2pStreamResponse>;
using TdispSetMmioAttributeResponse = TdispBare<TdispCode::kSetMmioAttributeResponse>;

struct TdispVersion {
  static constexpr TdispCode kCode = TdispCode::kVersion;
  std::vector<std::uint8_t> versions;  ///< BCD major.minor; at most 255
  bool operator==(const TdispVersion&) const = default;
};

struct TdispGetCapabilities {
  static constexpr TdispCode kCode = TdispCode::kGetCapabilities;
  std::uint32_t tsm_caps = 0;  ///< all reserved in 1.0
  bool operator==(const TdispGetCapabilities&) const = default;
};

struct TdispCapabilities {
  static constexpr TdispCode kCode = TdispCode::kCapabilities;
  std::uint32_t dsm_caps = 0;                  ///< all reserved in 1.0
  std::array<std::uint8_t, 16> requests{};     ///< bit n: request 0x80 + n is understood
  std::uint16_t lock_flags = 0;                ///< LOCK_INTERFACE flags that may be set
  std::uint8_t address_width = 0;              ///< bits
  std::uint8_t requests_outstanding_this = 0;  ///< beyond one, for this interface
  std::uint8_t requests_outstanding_all = 0;   ///< beyond one, for the device
  bool operator==(const TdispCapabilities&) const = default;
};

/// Flags of LOCK_INTERFACE.
enum TdispLockFlag : std::uint16_t {
  kLockNoFirmwareUpdate = 1U << 0U,
  kLockSystemCacheLineSize = 1U << 1U,  ///< set: 64 bytes, else 128
  kLockMsix = 1U << 2U,                 ///< MSI-X table and PBA are locked too
  kLockBindP2p = 1U << 3U,
  kLockAllRequestRedirect = 1U << 4U,
};

struct TdispLockInterface {
  static constexpr TdispCode kCode = TdispCode::kLockInterface;
  std::uint16_t flags = 0;  ///< of TdispLockFlag
  std::uint8_t default_stream_id = 0;
  std::uint64_t mmio_reporting_offset = 0;  ///< added, modulo 2^64, to reported addresses
  std::uint64_t bind_p2p_address_mask = 0;
  bool operator==(const TdispLockInterface&) const = default;
};

using TdispNonce = std::array<std::byte, 32>;

struct TdispLockInterfaceResponse {
  static constexpr TdispCode kCode = TdispCode::kLockInterfaceResponse;
  TdispNonce nonce{};
  bool operator==(const TdispLockInterfaceResponse&) const = default;
};

struct TdispGetInterfaceReport {
  static constexpr TdispCode kCode = TdispCode::kGetDeviceInterfaceReport;
  std::uint16_t offset = 0;  ///< bytes
  std::uint16_t length = 0;  ///< bytes wanted
  bool operator==(const TdispGetInterfaceReport&) const = default;
};

struct TdispInterfaceReportPortion {
  static constexpr TdispCode kCode = TdispCode::kDeviceInterfaceReport;
  std::uint16_t remainder = 0;  ///< bytes behind this portion
  Bytes portion;                ///< of an encoded TdispReport
  bool operator==(const TdispInterfaceReportPortion&) const = default;
};

struct TdispInterfaceState {
  static constexpr TdispCode kCode = TdispCode::kDeviceInterfaceState;
  TdiState state = TdiState::kConfigUnlocked;
  bool operator==(const TdispInterfaceState&) const = default;
};

struct TdispStartInterface {
  static constexpr TdispCode kCode = TdispCode::kStartInterface;
  TdispNonce nonce{};
  bool operator==(const TdispStartInterface&) const = default;
};

struct TdispBindP2pStream {
  static constexpr TdispCode kCode = TdispCode::kBindP2pStream;
  std::uint8_t stream_id = 0;
  bool operator==(const TdispBindP2pStream&) const = default;
};

struct TdispUnbindP2pStream {
  static constexpr TdispCode kCode = TdispCode::kUnbindP2pStream;
  std::uint8_t stream_id = 0;
  bool operator==(const TdispUnbindP2pStream&) const = default;
};

struct TdispSetMmioAttribute {
  static constexpr TdispCode kCode = TdispCode::kSetMmioAttribute;
  TdispMmioRange range;  ///< its kMmioNonTeeMemory bit is the attribute to set
  bool operator==(const TdispSetMmioAttribute&) const = default;
};

/// Vendor-defined request (Code kVdm) or response (kVdmResponse).
template <TdispCode Code>
struct TdispVendor {
  static constexpr TdispCode kCode = Code;
  std::uint8_t registry_id = 0;  ///< 0 PCI-SIG, 1 CXL
  Bytes vendor_id;               ///< at most 255 bytes
  Bytes data;
  bool operator==(const TdispVendor&) const = default;
};
using TdispVdm = TdispVendor<TdispCode::kVdm>;
using TdispVdmResponse = TdispVendor<TdispCode::kVdmResponse>;

struct TdispErrorResponse {
  static constexpr TdispCode kCode = TdispCode::kError;
  std::uint32_t code = 0;  ///< a TdispError, or what the peer sent
  std::uint32_t data = 0;
  Bytes extended;  ///< with VENDOR_SPECIFIC_ERROR
  bool operator==(const TdispErrorResponse&) const = default;
};

/// `extended` of a VENDOR_SPECIFIC_ERROR. Source: PCIe Base Spec 11.3.24.
struct TdispVendorError {
  std::uint8_t registry_id = 0;  ///< 0 PCI-SIG, 1 CXL
  Bytes vendor_id;               ///< at most 255 bytes
  Bytes data;
  bool operator==(const TdispVendorError&) const = default;
  /// Errors: EINVAL when the vendor ID leaves `extended`.
  static Result<TdispVendorError> decode(ByteView extended);
  [[nodiscard]] Bytes encode() const;
};

using TdispBody = std::variant<
    TdispVersion, TdispCapabilities, TdispLockInterfaceResponse, TdispInterfaceReportPortion,
    TdispInterfaceState, TdispStartInterfaceResponse, TdispStopInterfaceResponse,
    TdispBindP2pStreamResponse, TdispUnbindP2pStreamResponse, TdispSetMmioAttributeResponse,
    TdispVdmResponse, TdispErrorResponse, TdispGetVersion, TdispGetCapabilities, TdispLockInterface,
    TdispGetInterfaceReport, TdispGetInterfaceState, TdispStartInterface, TdispStopInterface,
    TdispBindP2pStream, TdispUnbindP2pStream, TdispSetMmioAttribute, TdispVdm>;

struct TdispMessage {
  TdispFunctionId function_id;
  TdispBody body;
  std::uint8_t version = kTdispVersion10;
  bool operator==(const TdispMessage&) const = default;
};

/// Decodes what follows the header of a message with code `type`.
/// Errors, as a responder answers them: kUnsupportedRequest for a code outside
/// the table; kInvalidRequest when the length is not the message's.
std::expected<TdispBody, TdispError> decode_tdisp_body(std::uint8_t type, ByteView in);

/// Header and body. Errors: EINVAL for a short header, a major version other
/// than 1, or a bad length; EOPNOTSUPP for an unknown code.
Result<TdispMessage> decode_tdisp(ByteView in);

/// Preconditions: counts and vendor IDs fit their one-byte fields, a report
/// portion its two-byte field.
[[nodiscard]] Bytes encode_tdisp(const TdispMessage& message);
[[nodiscard]] TdispCode code_of(const TdispBody& body);

}  // namespace teeio::wire
