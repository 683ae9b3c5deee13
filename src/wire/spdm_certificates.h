#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm.h"

namespace teeio::wire {

inline constexpr std::size_t kSpdmSlots = 8;

/// Certificate model of a slot. Source: DSP0274 1.3, table "Certificate info".
enum class SpdmCertModel : std::uint8_t { kNone = 0, kDevice = 1, kAlias = 2, kGeneric = 3 };

/// Bits of a slot's key usage (1.3).
enum SpdmKeyUsage : std::uint16_t {
  kSpdmKeyUseKeyExchange = 1U << 0U,
  kSpdmKeyUseChallenge = 1U << 1U,
  kSpdmKeyUseMeasurement = 1U << 2U,
  kSpdmKeyUseEndpointInfo = 1U << 3U,
  kSpdmKeyUseStandards = 1U << 14U,
  kSpdmKeyUseVendor = 1U << 15U,
};

/// DIGESTS: for each slot in `provisioned`, in ascending order, a digest and,
/// if the connection is a multi-key one, a key pair, model and usage.
struct SpdmDigests {
  static constexpr SpdmCode kCode = SpdmCode::kDigests;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t supported = 0;    ///< 1.3: slots that exist
  std::uint8_t provisioned = 0;  ///< slots that are described below
  ByteView digests{};            ///< SpdmSizes::hash bytes a slot
  ByteView key_pairs{};          ///< a byte a slot; empty without multi-key
  ByteView cert_models{};        ///< a byte a slot
  ByteView key_usages{};         ///< two bytes a slot, little-endian, of SpdmKeyUsage
  ByteView wire{};
  [[nodiscard]] std::size_t count() const;  ///< provisioned slots
  /// Reads `sizes.hash` and `sizes.multi_key`.
  static Result<SpdmDigests> decode(ByteView in, const SpdmSizes& sizes);
  [[nodiscard]] Bytes encode() const;
};

/// GET_CERTIFICATE: a portion of a slot's chain.
struct SpdmGetCertificate {
  static constexpr SpdmCode kCode = SpdmCode::kGetCertificate;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t slot = 0;             ///< 0–15 on the wire; 8 and above mean nothing
  bool large = false;                ///< 1.4: offset and length have 32 bits
  bool slot_size_requested = false;  ///< 1.3: only the size is wanted
  std::uint32_t offset = 0;          ///< bytes
  std::uint32_t length = 0;          ///< bytes
  ByteView wire{};
  static Result<SpdmGetCertificate> decode(ByteView in);
  /// Precondition: offset and length fit 16 bits unless `large`.
  [[nodiscard]] Bytes encode() const;
};

/// CERTIFICATE.
struct SpdmCertificate {
  static constexpr SpdmCode kCode = SpdmCode::kCertificate;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t slot = 0;
  bool large = false;           ///< 1.4, as in the request
  std::uint8_t cert_model = 0;  ///< 1.3, an SpdmCertModel
  ByteView portion{};           ///< of an SpdmCertificateChain
  std::uint32_t remainder = 0;  ///< bytes behind this portion
  ByteView wire{};
  static Result<SpdmCertificate> decode(ByteView in);
  /// Precondition: portion and remainder fit 16 bits unless `large`.
  [[nodiscard]] Bytes encode() const;
};

/// What GET_CERTIFICATE reads in portions. Not a message.
struct SpdmCertificateChain {
  ByteView root_hash{};     ///< of the root certificate, with the base hash
  ByteView certificates{};  ///< DER, one behind the other, root or its child first
  /// Length has 16 bits and 16 reserved ones before 1.4, and 32 bits since.
  /// Errors: EINVAL when `in` is not as long as it says or shorter than a hash.
  static Result<SpdmCertificateChain> decode(ByteView in, std::size_t hash_size,
                                             std::uint8_t version);
  [[nodiscard]] Bytes encode() const;
};

/// GET_CSR (1.2).
struct SpdmGetCsr {
  static constexpr SpdmCode kCode = SpdmCode::kGetCsr;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t key_pair = 0;      ///< 1.3
  std::uint8_t cert_model = 0;    ///< 1.3
  std::uint8_t tracking_tag = 0;  ///< 1.3, 0–7
  bool overwrite = false;         ///< 1.3
  ByteView requester_info{};      ///< DER, CertificationRequestInfo
  ByteView opaque{};
  ByteView wire{};
  static Result<SpdmGetCsr> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// CSR.
struct SpdmCsr {
  static constexpr SpdmCode kCode = SpdmCode::kCsr;
  std::uint8_t version = kSpdmVersion12;
  ByteView csr{};  ///< DER
  ByteView wire{};
  static Result<SpdmCsr> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// SET_CERTIFICATE (1.2). The chain states its own length.
struct SpdmSetCertificate {
  static constexpr SpdmCode kCode = SpdmCode::kSetCertificate;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t slot = 0;
  std::uint8_t cert_model = 0;  ///< 1.3
  bool erase = false;           ///< 1.3: then there is no chain
  std::uint8_t key_pair = 0;    ///< 1.3
  ByteView chain{};             ///< an SpdmCertificateChain
  ByteView wire{};
  static Result<SpdmSetCertificate> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// SET_CERTIFICATE_RSP.
struct SpdmSetCertificateRsp {
  static constexpr SpdmCode kCode = SpdmCode::kSetCertificateRsp;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t slot = 0;
  ByteView wire{};
  static Result<SpdmSetCertificateRsp> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
