#pragma once

namespace teeio::crypto {

// DSP0274 1.2, "SPDM object identifiers", all below id-DMTF-spdm.
inline constexpr const char* kOidDeviceInfo = "1.3.6.1.4.1.412.274.1";
inline constexpr const char* kOidHardwareIdentity = "1.3.6.1.4.1.412.274.2";
inline constexpr const char* kOidResponderAuth = "1.3.6.1.4.1.412.274.3";  ///< extended key usage
inline constexpr const char* kOidRequesterAuth = "1.3.6.1.4.1.412.274.4";  ///< extended key usage
inline constexpr const char* kOidMutableCertificate = "1.3.6.1.4.1.412.274.5";
inline constexpr const char* kOidSpdmExtension = "1.3.6.1.4.1.412.274.6";

}  // namespace teeio::crypto
