#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm.h"

namespace teeio::wire {

/// PCI-SIG protocols inside SPDM vendor-defined messages.
/// Source: PCIe Base Spec 6.31.3; checked against libspdm pcidoe.h and pci_*.h.
enum class Protocol : std::uint8_t { kIdeKm = 0, kTdisp = 1 };

[[nodiscard]] std::string_view protocol_name(Protocol protocol);  ///< "IDE_KM"

/// SPDM VENDOR_DEFINED_REQUEST or _RESPONSE under the PCI-SIG registry: the
/// envelope of IDE_KM and TDISP messages.
///
/// Source: DSP0274 1.2, 10.21–10.22 (message format), registry 3 is PCI-SIG.
struct VendorDefined {
  static constexpr std::uint16_t kPciSigStandardId = 3;
  /// What one envelope may carry, bytes; libspdm's responders allow 4 KiB data.
  static constexpr std::size_t kMaxMessage = 0x1000;

  std::uint8_t version = kSpdmVersion12;
  SpdmCode code = SpdmCode::kVendorDefinedRequest;  ///< or kVendorDefinedResponse
  Protocol protocol = Protocol::kIdeKm;
  ByteView message;  ///< after the protocol byte; views what decode() was given

  /// Bytes behind the stated length are DOE padding and ignored.
  /// Errors: EINVAL when `in` is short, is another SPDM message, or states more
  /// bytes than there are; EOPNOTSUPP for another standards body, vendor or
  /// protocol; E2BIG above kMaxMessage.
  static Result<VendorDefined> decode(ByteView in);
  /// Precondition: `message` has at most kMaxMessage bytes.
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
