#pragma once

#include <optional>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/kem.h"
#include "crypto/key_exchange.h"
#include "crypto/signature.h"
#include "spdm/settings.h"

namespace teeio::spdm {

/// The algorithms behind SPDM's bits; nullopt for anything that is not exactly
/// one bit of an algorithm that `crypto` has.
[[nodiscard]] std::optional<crypto::HashAlgorithm> hash_of(std::uint32_t base_hash);
[[nodiscard]] std::optional<crypto::HashAlgorithm> measurement_hash_of(std::uint32_t bits);
[[nodiscard]] std::optional<crypto::SignatureAlgorithm> signature_of(std::uint32_t base_asym);
[[nodiscard]] std::optional<crypto::KeyExchangeGroup> group_of(std::uint16_t dhe);
[[nodiscard]] std::optional<crypto::AeadAlgorithm> aead_of(std::uint16_t aead);

/// PqcAsymAlgo's and KEMAlg's.
[[nodiscard]] std::optional<crypto::SignatureAlgorithm> pqc_signature_of(std::uint32_t pqc_asym);
[[nodiscard]] std::optional<crypto::KemAlgorithm> kem_of(std::uint16_t kem);
/// The bits of those that the OpenSSL that runs has.
[[nodiscard]] std::uint32_t available_pqc_signatures();
[[nodiscard]] std::uint16_t available_kems();

/// The bits of everything that `crypto` has.
inline constexpr std::uint32_t kAllHashes = 0x3f;
inline constexpr std::uint32_t kAllMeasurementHashes = 0x7e;
inline constexpr std::uint32_t kAllSignatures = 0x5ff;
inline constexpr std::uint16_t kAllGroups = 0x3f;
inline constexpr std::uint16_t kAllAeads = 0x7;

/// What ALGORITHMS settled, ready for use.
struct Suite {
  std::optional<crypto::HashAlgorithm> hash;
  std::optional<crypto::HashAlgorithm> measurement_hash;  ///< none: raw bit streams only
  std::optional<crypto::SignatureAlgorithm> asym;         ///< of either family
  std::optional<crypto::SignatureAlgorithm> req_asym;     ///< likewise
  std::optional<crypto::KeyExchangeGroup> group;
  std::optional<crypto::KemAlgorithm> kem;  ///< in the place of a group
  std::optional<crypto::AeadAlgorithm> aead;

  [[nodiscard]] static Suite of(const Algorithms& chosen);
  [[nodiscard]] std::size_t hash_size() const { return hash ? crypto::hash_size(*hash) : 0; }
  [[nodiscard]] std::size_t signature_size() const {
    return asym ? crypto::signature_size(*asym) : 0;
  }
  [[nodiscard]] std::size_t req_signature_size() const {
    return req_asym ? crypto::signature_size(*req_asym) : 0;
  }
  [[nodiscard]] bool exchanges_keys() const { return group || kem; }
  /// ExchangeData of KEY_EXCHANGE, and of its answer.
  [[nodiscard]] std::size_t exchange_request_size() const {
    if (kem) return crypto::encapsulation_key_size(*kem);
    return group ? crypto::exchange_data_size(*group) : 0;
  }
  [[nodiscard]] std::size_t exchange_response_size() const {
    if (kem) return crypto::ciphertext_size(*kem);
    return group ? crypto::exchange_data_size(*group) : 0;
  }
};

}  // namespace teeio::spdm
