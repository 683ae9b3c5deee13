#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"

namespace teeio::wire {

inline constexpr std::uint8_t kTdispVersion10 = 0x10;  ///< BCD major.minor

/// TDISP 1.0 message codes; requests have bit 7 set, and a request's response
/// has its code without that bit.
/// Source: PCIe Base Spec 11.3.3, "TDISP message codes"; checked against libspdm
/// pci_tdisp.h.
enum class TdispCode : std::uint8_t {
  kVersion = 0x01,
  kCapabilities = 0x02,
  kLockInterfaceResponse = 0x03,
  kDeviceInterfaceReport = 0x04,
  kDeviceInterfaceState = 0x05,
  kStartInterfaceResponse = 0x06,
  kStopInterfaceResponse = 0x07,
  kBindP2pStreamResponse = 0x08,
  kUnbindP2pStreamResponse = 0x09,
  kSetMmioAttributeResponse = 0x0a,
  kVdmResponse = 0x0b,
  kError = 0x7f,
  kGetVersion = 0x81,
  kGetCapabilities = 0x82,
  kLockInterface = 0x83,
  kGetDeviceInterfaceReport = 0x84,
  kGetDeviceInterfaceState = 0x85,
  kStartInterface = 0x86,
  kStopInterface = 0x87,
  kBindP2pStream = 0x88,
  kUnbindP2pStream = 0x89,
  kSetMmioAttribute = 0x8a,
  kVdm = 0x8b,
};

struct TdispRow {
  TdispCode code;
  std::string_view name;
  bool request;  ///< from the firmware; else from the device
};
inline constexpr std::array kTdispMessages{
    TdispRow{TdispCode::kVersion, "TDISP_VERSION", false},
    TdispRow{TdispCode::kCapabilities, "TDISP_CAPABILITIES", false},
    TdispRow{TdispCode::kLockInterfaceResponse, "LOCK_INTERFACE_RESPONSE", false},
    TdispRow{TdispCode::kDeviceInterfaceReport, "DEVICE_INTERFACE_REPORT", false},
    TdispRow{TdispCode::kDeviceInterfaceState, "DEVICE_INTERFACE_STATE", false},
    TdispRow{TdispCode::kStartInterfaceResponse, "START_INTERFACE_RESPONSE", false},
    TdispRow{TdispCode::kStopInterfaceResponse, "STOP_INTERFACE_RESPONSE", false},
    TdispRow{TdispCode::kBindP2pStreamResponse, "BIND_P2P_STREAM_RESPONSE", false},
    TdispRow{TdispCode::kUnbindP2pStreamResponse, "UNBIND_P2P_STREAM_RESPONSE", false},
    TdispRow{TdispCode::kSetMmioAttributeResponse, "SET_MMIO_ATTRIBUTE_RESPONSE", false},
    TdispRow{TdispCode::kVdmResponse, "VDM_RESPONSE", false},
    TdispRow{TdispCode::kError, "TDISP_ERROR", false},
    TdispRow{TdispCode::kGetVersion, "GET_TDISP_VERSION", true},
    TdispRow{TdispCode::kGetCapabilities, "GET_TDISP_CAPABILITIES", true},
    TdispRow{TdispCode::kLockInterface, "LOCK_INTERFACE", true},
    TdispRow{TdispCode::kGetDeviceInterfaceReport, "GET_DEVICE_INTERFACE_REPORT", true},
    TdispRow{TdispCode::kGetDeviceInterfaceState, "GET_DEVICE_INTERFACE_STATE", true},
    TdispRow{TdispCode::kStartInterface, "START_INTERFACE", true},
    TdispRow{TdispCode::kStopInterface, "STOP_INTERFACE", true},
    TdispRow{TdispCode::kBindP2pStream, "BIND_P2P_STREAM", true},
    TdispRow{TdispCode::kUnbindP2pStream, "UNBIND_P2P_STREAM", true},
    TdispRow{TdispCode::kSetMmioAttribute, "SET_MMIO_ATTRIBUTE", true},
    TdispRow{TdispCode::kVdm, "VDM", true},
};
/// "TDISP_UNKNOWN" for a code outside the table.
[[nodiscard]] std::string_view tdisp_name(std::uint8_t code);

/// ERROR_CODE of TDISP_ERROR. Source: PCIe Base Spec 11.3.23, table of codes.
enum class TdispError : std::uint32_t {
  kInvalidRequest = 0x0001,
  kBusy = 0x0003,
  kInvalidInterfaceState = 0x0004,
  kUnspecified = 0x0005,
  kUnsupportedRequest = 0x0007,
  kVersionMismatch = 0x0041,
  kVendorSpecificError = 0x00ff,
  kInvalidInterface = 0x0101,
  kInvalidNonce = 0x0102,
  kInsufficientEntropy = 0x0103,
  kInvalidDeviceConfiguration = 0x0104,
};
/// "INVALID_NONCE"; "TDISP_ERROR_UNKNOWN" for a code outside the enumeration.
[[nodiscard]] std::string_view tdisp_error_name(std::uint32_t code);

/// TDI states, numbered as DEVICE_INTERFACE_STATE reports them.
/// Source: PCIe Base Spec 11.2, "TDI states".
enum class TdiState : std::uint8_t { kConfigUnlocked = 0, kConfigLocked = 1, kRun = 2, kError = 3 };
/// "CONFIG_UNLOCKED"; "TDI_STATE_UNKNOWN" for a value outside the enumeration.
[[nodiscard]] std::string_view tdi_state_name(TdiState state);

/// FUNCTION_ID of an interface: requester ID in 15:0; bit 24 says that 23:16 is
/// its segment.
struct TdispFunctionId {
  std::uint32_t raw = 0;
  [[nodiscard]] static constexpr TdispFunctionId of(const Bdf& bdf) {
    const std::uint32_t segment = bdf.domain == 0 ? 0 : 1U << 24U | (bdf.domain & 0xffU) << 16U;
    return {segment | bdf.rid()};
  }
  [[nodiscard]] constexpr std::uint16_t rid() const { return static_cast<std::uint16_t>(raw); }
  /// nullopt: the segment of whoever received the message.
  [[nodiscard]] constexpr std::optional<std::uint8_t> segment() const {
    if ((raw >> 24U & 1U) == 0) return std::nullopt;
    return static_cast<std::uint8_t>(raw >> 16U);
  }
  bool operator==(const TdispFunctionId&) const = default;
};

/// TDISP message header, 16 bytes.
struct TdispHeader {
  static constexpr std::size_t kSize = 16;
  std::uint8_t version = kTdispVersion10;
  std::uint8_t type = 0;  ///< a TdispCode, or what the peer sent
  TdispFunctionId function_id;

  /// Takes any version: what to do about another one depends on who reads it.
  /// Errors: EINVAL when `in` is short.
  static Result<TdispHeader> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
