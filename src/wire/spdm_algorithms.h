#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm.h"

namespace teeio::wire {

/// Bits of BaseHashAlgo. Source: DSP0274 1.2, table 15.
enum class SpdmHash : std::uint32_t {
  kSha256 = 1U << 0U,
  kSha384 = 1U << 1U,
  kSha512 = 1U << 2U,
  kSha3_256 = 1U << 3U,
  kSha3_384 = 1U << 4U,
  kSha3_512 = 1U << 5U,
  kSm3_256 = 1U << 6U,
};
/// Bits of MeasurementHashAlgo.
enum class SpdmMeasurementHash : std::uint32_t {
  kRawBitStreamOnly = 1U << 0U,
  kSha256 = 1U << 1U,
  kSha384 = 1U << 2U,
  kSha512 = 1U << 3U,
  kSha3_256 = 1U << 4U,
  kSha3_384 = 1U << 5U,
  kSha3_512 = 1U << 6U,
  kSm3_256 = 1U << 7U,
};
/// Bits of BaseAsymAlgo and ReqBaseAsymAlg.
enum class SpdmAsym : std::uint32_t {
  kRsaSsa2048 = 1U << 0U,
  kRsaPss2048 = 1U << 1U,
  kRsaSsa3072 = 1U << 2U,
  kRsaPss3072 = 1U << 3U,
  kEcdsaP256 = 1U << 4U,
  kRsaSsa4096 = 1U << 5U,
  kRsaPss4096 = 1U << 6U,
  kEcdsaP384 = 1U << 7U,
  kEcdsaP521 = 1U << 8U,
  kSm2 = 1U << 9U,
  kEd25519 = 1U << 10U,
  kEd448 = 1U << 11U,
};
/// Bits of the DHE table.
enum class SpdmDhe : std::uint16_t {
  kFfdhe2048 = 1U << 0U,
  kFfdhe3072 = 1U << 1U,
  kFfdhe4096 = 1U << 2U,
  kSecp256r1 = 1U << 3U,
  kSecp384r1 = 1U << 4U,
  kSecp521r1 = 1U << 5U,
  kSm2P256 = 1U << 6U,
};
/// Bits of the AEAD table.
enum class SpdmAead : std::uint16_t {
  kAes128Gcm = 1U << 0U,
  kAes256Gcm = 1U << 1U,
  kChaCha20Poly1305 = 1U << 2U,
  kSm4Gcm = 1U << 3U,
};
inline constexpr std::uint16_t kSpdmKeyScheduleHmac = 1;  ///< bit of the key schedule table
inline constexpr std::uint8_t kSpdmMeasurementDmtf = 1;   ///< bit of MeasurementSpecification
inline constexpr std::uint8_t kSpdmMelDmtf = 1;           ///< bit of MELspecification
inline constexpr std::uint8_t kSpdmOpaqueFormat0 = 1;     ///< bits of OtherParams
inline constexpr std::uint8_t kSpdmOpaqueFormat1 = 2;
inline constexpr std::uint8_t kSpdmMultiKeyConn = 0x10;  ///< 1.3

/// Bytes; 0 for a value that is not exactly one known bit. `summary`: a raw bit
/// stream has no digest and gives 0.
[[nodiscard]] std::size_t spdm_hash_size(std::uint32_t base_hash);
[[nodiscard]] std::size_t spdm_signature_size(std::uint32_t base_asym);
[[nodiscard]] std::size_t spdm_exchange_size(std::uint32_t dhe);
/// "SHA-384", "ECDSA-P384", "SECP384R1", "AES-256-GCM"; "" for other values.
[[nodiscard]] std::string_view spdm_hash_name(std::uint32_t base_hash);
[[nodiscard]] std::string_view spdm_asym_name(std::uint32_t base_asym);
[[nodiscard]] std::string_view spdm_dhe_name(std::uint32_t dhe);
[[nodiscard]] std::string_view spdm_aead_name(std::uint32_t aead);

/// The algorithm structure tables (1.1), each with its two fixed bytes. External
/// algorithms inside a table are stepped over: none is spoken here.
struct SpdmAlgorithmTables {
  static constexpr std::size_t kTypes = 6;
  std::optional<std::uint16_t> dhe{};            ///< type 2
  std::optional<std::uint16_t> aead{};           ///< 3
  std::optional<std::uint16_t> req_base_asym{};  ///< 4
  std::optional<std::uint16_t> key_schedule{};   ///< 5
  std::optional<std::uint16_t> req_pqc_asym{};   ///< 6, 1.4
  std::optional<std::uint16_t> kem{};            ///< 7, 1.4
  [[nodiscard]] std::size_t count() const;
  bool operator==(const SpdmAlgorithmTables&) const = default;
};

/// What NEGOTIATE_ALGORITHMS offers; the block in a 1.3 CAPABILITIES is the same.
struct SpdmAlgorithmOffer {
  std::uint8_t measurement_specification = 0;
  std::uint8_t other_params = 0;       ///< 1.2: opaque formats; 1.3: kSpdmMultiKeyConn
  std::uint32_t base_asym = 0;         ///< of SpdmAsym
  std::uint32_t base_hash = 0;         ///< of SpdmHash
  std::uint32_t pqc_asym = 0;          ///< 1.4
  std::uint8_t mel_specification = 0;  ///< 1.3
  ByteView extended_asym{};            ///< four bytes each
  ByteView extended_hash{};            ///< four bytes each
  SpdmAlgorithmTables tables{};
};

/// NEGOTIATE_ALGORITHMS.
struct SpdmNegotiateAlgorithms {
  static constexpr SpdmCode kCode = SpdmCode::kNegotiateAlgorithms;
  std::uint8_t version = kSpdmVersion12;
  SpdmAlgorithmOffer offer{};
  ByteView wire{};
  /// EINVAL also when Length is not the message's, when tables are not in
  /// ascending order, and when there are more external algorithms or bytes than
  /// the version allows (DSP0274 1.2, 10.4, "Length" and "ExtAlgCount").
  static Result<SpdmNegotiateAlgorithms> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// ALGORITHMS: what the responder chose, at most one bit each.
struct SpdmAlgorithms {
  static constexpr SpdmCode kCode = SpdmCode::kAlgorithms;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t measurement_specification = 0;
  std::uint8_t other_params = 0;
  std::uint32_t measurement_hash = 0;  ///< of SpdmMeasurementHash
  std::uint32_t base_asym = 0;
  std::uint32_t base_hash = 0;
  std::uint32_t pqc_asym = 0;          ///< 1.4
  std::uint8_t mel_specification = 0;  ///< 1.3
  ByteView extended_asym{};            ///< four bytes each, at most one
  ByteView extended_hash{};
  SpdmAlgorithmTables tables{};
  ByteView wire{};
  /// Errors as for NEGOTIATE_ALGORITHMS. That each choice is one bit of what was
  /// offered is the requester's to check.
  static Result<SpdmAlgorithms> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
