#pragma once

#include <nlohmann/json_fwd.hpp>

#include "evidence/extract.h"
#include "evidence/judge.h"
#include "wire/cca_token.h"

// A realm's own evidence: the CCA attestation token.
namespace teeio::evidence {

/// One of the two signed parts, as far as it can be read.
template <class Claims>
struct CcaPart {
  std::string problem;  ///< why what is below is empty
  std::optional<wire::CoseSign1> cose;
  std::optional<Claims> claims;
};

/// A token as far as it can be read.
struct CcaStatement {
  Bytes file;
  std::string problem;  ///< of the collection
  bool has_platform = false;
  CcaPart<wire::CcaPlatformClaims> platform;
  CcaPart<wire::CcaRealmClaims> realm;
  std::string key_problem;
  std::optional<crypto::PublicKey> realm_key;  ///< RAK

  /// Total.
  static CcaStatement of(Bytes file);
};

/// The platform, what binds the realm to it, the realm. Total.
[[nodiscard]] std::vector<Clause> judge(const CcaStatement& statement, const CcaPolicy& policy,
                                        const Circumstances& now);
[[nodiscard]] nlohmann::ordered_json as_json(const CcaStatement& statement);
/// realm-key.pub.pem, {realm,platform}-signed.bin, -signature.bin (DER) and -claims.cbor.
[[nodiscard]] std::vector<Part> extract(const CcaStatement& statement);

/// The key type, hash and signature algorithm of a COSE_Sign1; nullopt for another one.
struct CoseSigning {
  crypto::SignatureAlgorithm algorithm;
  crypto::HashAlgorithm hash;
};
[[nodiscard]] std::optional<CoseSigning> cose_signing(std::int64_t algorithm);

}  // namespace teeio::evidence
