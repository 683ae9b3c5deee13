#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm.h"
#include "wire/spdm_error.h"

namespace teeio::wire {

/// VENDOR_DEFINED_REQUEST and _RESPONSE of any standards body.
/// Source: DSP0274 1.2, 10.21–10.22; the large form, 1.4.
template <SpdmCode Code>
struct SpdmVendorDefined {
  static constexpr SpdmCode kCode = Code;
  std::uint8_t version = kSpdmVersion12;
  bool large = false;             ///< 1.4: the payload's length has 32 bits
  std::uint16_t standard_id = 0;  ///< registry
  ByteView vendor_id{};           ///< at most 255 bytes
  ByteView payload{};
  ByteView wire{};
  static Result<SpdmVendorDefined> decode(ByteView in);
  /// Precondition: the payload's length fits 16 bits unless `large`.
  [[nodiscard]] Bytes encode() const;
};
using SpdmVendorDefinedRequest = SpdmVendorDefined<SpdmCode::kVendorDefinedRequest>;
using SpdmVendorDefinedResponse = SpdmVendorDefined<SpdmCode::kVendorDefinedResponse>;

/// PCI-SIG protocols inside SPDM vendor-defined messages.
/// Source: PCIe Base Spec 6.31.3; checked against libspdm pcidoe.h and pci_*.h.
enum class Protocol : std::uint8_t { kIdeKm = 0, kTdisp = 1 };

[[nodiscard]] std::string_view protocol_name(Protocol protocol);  ///< "IDE_KM"

/// SPDM VENDOR_DEFINED_REQUEST or _RESPONSE under the PCI-SIG registry: the
/// envelope of IDE_KM and TDISP messages.
struct VendorDefined {
  static constexpr std::uint16_t kPciSigStandardId = 3;
  /// What one envelope may carry, bytes; libspdm's responders allow 4 KiB data.
  static constexpr std::size_t kMaxMessage = 0x1000;

  std::uint8_t version = kSpdmVersion12;
  SpdmCode code = SpdmCode::kVendorDefinedRequest;  ///< or kVendorDefinedResponse
  Protocol protocol = Protocol::kIdeKm;
  ByteView message{};  ///< after the protocol byte; views what decode() was given
  bool large = false;  ///< 1.4: as the request was, so is the response

  /// Bytes behind the stated length are DOE padding and ignored.
  /// Errors: EINVAL when `in` is short, is another SPDM message, or states more
  /// bytes than there are; EOPNOTSUPP for another standards body, vendor or
  /// protocol; E2BIG above kMaxMessage.
  static Result<VendorDefined> decode(ByteView in);
  /// Precondition: `message` has at most kMaxMessage bytes.
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
