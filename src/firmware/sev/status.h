#pragma once

#include <cstdint>
#include <string_view>

namespace teeio::sev {

/// What a command ends with. Source: Linux include/uapi/linux/psp-sev.h, SEV_RET_*.
enum class Status : std::uint8_t {
  kSuccess = 0x00,
  kInvalidPlatformState = 0x01,
  kInvalidGuestState = 0x02,
  kInvalidConfig = 0x03,
  kInvalidLength = 0x04,
  kPolicyFailure = 0x07,
  kInactive = 0x08,
  kInvalidAddress = 0x09,
  kBadSignature = 0x0a,
  kBadMeasurement = 0x0b,
  kAsidOwned = 0x0c,
  kInvalidAsid = 0x0d,
  kWbinvdRequired = 0x0e,
  kDfFlushRequired = 0x0f,
  kInvalidGuest = 0x10,
  kInvalidCommand = 0x11,
  kActive = 0x12,
  kUnsupported = 0x15,
  kInvalidParam = 0x16,
  kResourceLimit = 0x17,
  kSecureDataInvalid = 0x18,
  kInvalidPageSize = 0x19,
  kInvalidPageState = 0x1a,
  kInvalidPageOwner = 0x1c,
  kAeadOverflow = 0x1d,
  kRmpInitRequired = 0x20,
  kBadSvn = 0x21,
  kInvalidKey = 0x27,
  kIncorrectBufferLength = 0x30,
  kExpandBufferLengthRequest = 0x31,
  kSpdmRequest = 0x32,
  kSpdmError = 0x33,
  kErrorInDeviceConnection = 0x35,
  kInvalidDeviceContext = 0x36,
  kInvalidTdiContext = 0x37,
  kInvalidTdi = 0x38,
  kReclaimRequired = 0x39,
  kInUse = 0x3a,
  kInvalidDeviceState = 0x3b,
  kInvalidTdiState = 0x3c,
  kDeviceCertificateChanged = 0x3d,
  kResyncRequest = 0x3e,
  kResponseTooLarge = 0x3f,
};
[[nodiscard]] std::string_view status_name(Status status);  ///< "SEV_RET_INVALID_DEV_STATE"

}  // namespace teeio::sev
