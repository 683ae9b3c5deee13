#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::wire {

/// Data object types under the PCI-SIG vendor ID.
/// Source: PCIe Base Spec 6.30.1; checked against libspdm pcidoe.h; 3 and 4, and where they have
/// their connection ID, from the latter (PCI_DOE_DATA_OBJECT_CONNECTION_ID_MASK, 2026) and
/// spdm-rs 24d02b8, pcidoe_transport/src/header.rs.
enum class DoeType : std::uint8_t {
  kDiscovery = 0,
  kSpdm = 1,
  kSecuredSpdm = 2,
  kSpdmOfConnection = 3,
  kSecuredSpdmOfConnection = 4,
};

inline constexpr std::uint16_t kPciSigVendorId = 0x0001;

/// One DOE data object: vendor ID and type, length in DWORDs, payload.
struct DoeObject {
  static constexpr std::size_t kHeaderSize = 8;       ///< bytes
  static constexpr std::size_t kMaxSize = 1U << 20U;  ///< bytes; length field 0 means this
  std::uint16_t vendor_id = kPciSigVendorId;
  std::uint8_t type = 0;  ///< a DoeType if the vendor is PCI-SIG
  /// Whole DWORDs after decode(): up to three bytes of padding at the end. Views
  /// what decode() was given.
  ByteView payload;
  /// Of an object of a connection: 12 bits. Reserved in others.
  std::uint16_t connection = 0;

  /// Errors: EINVAL when `in` is shorter than a header, or its length field and
  /// its size differ (a data object is delivered whole or not at all).
  static Result<DoeObject> decode(ByteView in);
  /// Pads with zeros to whole DWORDs. Precondition: at most kMaxSize in all.
  [[nodiscard]] Bytes encode() const;
};

/// DOE discovery request. Source: PCIe Base Spec 6.30.1.1.
struct DoeDiscoveryRequest {
  std::uint8_t index = 0;
  /// Errors: EINVAL when `payload` is not one DWORD.
  static Result<DoeDiscoveryRequest> decode(ByteView payload);
  [[nodiscard]] Bytes encode() const;  ///< the payload only
};

/// DOE discovery response: the protocol at the index that was asked for.
struct DoeDiscoveryResponse {
  std::uint16_t vendor_id = kPciSigVendorId;  ///< 0xffff: no protocol at this index
  std::uint8_t type = 0;
  std::uint8_t next_index = 0;  ///< 0: this was the last
  /// Errors: EINVAL when `payload` is not one DWORD.
  static Result<DoeDiscoveryResponse> decode(ByteView payload);
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
