#pragma once

#include <array>

#include "crypto/keys.h"
#include "firmware/rmm/measurement.h"

namespace teeio::rmm {

inline constexpr std::size_t kChallengeBytes = 64;
inline constexpr std::size_t kPersonalisationBytes = 64;
inline constexpr std::size_t kInstanceIdBytes = 33;  ///< a UEID of type RAND

/// What a realm's token says beside its measurements.
struct RealmIdentity {
  std::array<std::byte, kPersonalisationBytes> personalisation{};
  std::array<std::byte, kInstanceIdBytes> instance{};
};

/// The keys of a platform and its monitor, and the CCA attestation tokens that they sign: a
/// platform token, whose challenge is the hash of the realm attestation key, and a realm
/// token under that key.
///
/// The layout is TF-RMM's (app/attestation/el0_app/src/attestation_token.c,
/// attestation_key.c, attestation_defs_priv.h): a CMW collection (tag 907) of two COSE_Sign1
/// (RFC 9052) with ES384. The platform's claims, which another processor makes there, are
/// those of DEN0137, A7.2.3.2. Its keys, its identity and the digests of its firmware are this
/// model's, made of constant seeds: every machine is the same platform, and proves nothing.
///
/// Cost: two keys and a signature; made at a monitor's first token. Locking: none; immutable.
class Attestation {
 public:
  Attestation();

  /// attest_app_realm_token_create(): the realm's claims, to be signed.
  [[nodiscard]] Bytes claims(const Measurements& measurements, const RealmIdentity& realm,
                             ByteView challenge) const;
  /// attest_app_realm_token_sign() and attest_app_cca_token_create().
  [[nodiscard]] Bytes token(ByteView claims) const;

  /// By which a relying party checks platform tokens.
  [[nodiscard]] const crypto::PublicKey& platform_key() const { return platform_key_.public_key(); }

 private:
  crypto::PrivateKey platform_key_;  ///< CPAK
  crypto::PrivateKey realm_key_;     ///< RAK
  Bytes realm_public_;               ///< a COSE_Key
  Bytes platform_token_;
};

}  // namespace teeio::rmm
