#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "crypto/hash.h"
#include "crypto/key_exchange.h"

namespace teeio::crypto::detail {

/// What a certificate of the plain kind says: X.509 version 3, an ECDSA key on a named NIST
/// curve, signed with ECDSA, no critical extension but basic constraints, key usage,
/// extended key usage and alternative name, and no extension that bears on paths beyond
/// those. Nearly all devices' certificates are so.
///
/// OpenSSL looks for a decoder anew for each key that it reads, which costs as much as a
/// P-256 key exchange; this reads the few fields that a path needs where they lie. It is
/// stricter than OpenSSL throughout: what is not exactly as expected is not plain, and
/// OpenSSL judges it.
///
/// Lifetime: views into the bytes that it was read from.
struct PlainCertificate {
  ByteView signed_part;  ///< TBSCertificate
  ByteView issuer;
  ByteView subject;
  KeyExchangeGroup curve{};
  ByteView point;  ///< X || Y
  HashAlgorithm hash{};
  ByteView signature;  ///< DER
  bool is_ca = false;
  std::optional<std::uint64_t> path_length;
  std::optional<std::uint16_t> key_usage;  ///< bit n of the BIT STRING is 1 << n
  ByteView extended_usage;                 ///< ExtKeyUsageSyntax, DER; empty: absent
  ByteView subject_key_id;
  ByteView authority_key_id;
  bool hardware_identity = false;
  bool is_mutable = false;
};
inline constexpr std::uint16_t kUsageDigitalSignature = 1U << 0U;
inline constexpr std::uint16_t kUsageCertSign = 1U << 5U;

/// Nullopt: it is not plain, or none at all.
[[nodiscard]] std::optional<PlainCertificate> read_plain(ByteView der);

/// Whether each certificate may issue the next one, by RFC 5280, 6.1 and DSP0274's rules for
/// a leaf, but for signatures and validity. false: not for certain; OpenSSL judges.
[[nodiscard]] bool is_plain_path(std::span<const PlainCertificate> chain);

}  // namespace teeio::crypto::detail
