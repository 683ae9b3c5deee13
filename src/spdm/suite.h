#pragma once

#include <optional>

#include "crypto/aead.h"
#include "crypto/hash.h"
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
  std::optional<crypto::SignatureAlgorithm> asym;
  std::optional<crypto::SignatureAlgorithm> req_asym;
  std::optional<crypto::KeyExchangeGroup> group;
  std::optional<crypto::AeadAlgorithm> aead;

  [[nodiscard]] static Suite of(const Algorithms& chosen);
  [[nodiscard]] std::size_t hash_size() const { return hash ? crypto::hash_size(*hash) : 0; }
  [[nodiscard]] std::size_t signature_size() const {
    return asym ? crypto::signature_size(*asym) : 0;
  }
  [[nodiscard]] std::size_t req_signature_size() const {
    return req_asym ? crypto::signature_size(*req_asym) : 0;
  }
  [[nodiscard]] std::size_t exchange_size() const {
    return group ? crypto::exchange_data_size(*group) : 0;
  }
};

}  // namespace teeio::spdm
