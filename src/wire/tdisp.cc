#include "wire/tdisp.h"

#include <utility>

namespace teeio::wire {

std::string_view tdisp_name(std::uint8_t code) {
  for (const TdispRow& row : kTdispMessages)
    if (std::to_underlying(row.code) == code) return row.name;
  return "TDISP_UNKNOWN";
}

std::string_view tdisp_error_name(std::uint32_t code) {
  switch (TdispError{code}) {
    case TdispError::kInvalidRequest:
      return "INVALID_REQUEST";
    case TdispError::kBusy:
      return "BUSY";
    case TdispError::kInvalidInterfaceState:
      return "INVALID_INTERFACE_STATE";
    case TdispError::kUnspecified:
      return "UNSPECIFIED";
    case TdispError::kUnsupportedRequest:
      return "UNSUPPORTED_REQUEST";
    case TdispError::kVersionMismatch:
      return "VERSION_MISMATCH";
    case TdispError::kVendorSpecificError:
      return "VENDOR_SPECIFIC_ERROR";
    case TdispError::kInvalidInterface:
      return "INVALID_INTERFACE";
    case TdispError::kInvalidNonce:
      return "INVALID_NONCE";
    case TdispError::kInsufficientEntropy:
      return "INSUFFICIENT_ENTROPY";
    case TdispError::kInvalidDeviceConfiguration:
      return "INVALID_DEVICE_CONFIGURATION";
  }
  return "TDISP_ERROR_UNKNOWN";
}

std::string_view tdi_state_name(TdiState state) {
  switch (state) {
    case TdiState::kConfigUnlocked:
      return "CONFIG_UNLOCKED";
    case TdiState::kConfigLocked:
      return "CONFIG_LOCKED";
    case TdiState::kRun:
      return "RUN";
    case TdiState::kError:
      return "ERROR";
  }
  return "TDI_STATE_UNKNOWN";
}

Result<TdispHeader> TdispHeader::decode(ByteView in) {
  Reader r(in);
  TdispHeader header;
  header.version = r.le<std::uint8_t>();
  header.type = r.le<std::uint8_t>();
  r.skip(2);
  header.function_id.raw = r.le<std::uint32_t>();
  r.skip(8);
  if (!r.ok()) return fail(Errno::kInval, "TDISP header is short");
  return header;
}

Bytes TdispHeader::encode() const {
  return Writer().le(version).le(type).zeros(2).le(function_id.raw).zeros(8).take();
}

}  // namespace teeio::wire
