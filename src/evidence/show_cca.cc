#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "evidence/cca.h"
#include "evidence/safe_text.h"

namespace teeio::evidence {
namespace {

using Json = nlohmann::ordered_json;

std::string algorithm_text(std::int64_t algorithm) {
  switch (static_cast<wire::CoseAlgorithm>(algorithm)) {
    case wire::CoseAlgorithm::kEs256:
      return "ES256";
    case wire::CoseAlgorithm::kEs384:
      return "ES384";
    case wire::CoseAlgorithm::kEs512:
      return "ES512";
  }
  return fmt::format("COSE algorithm {}", algorithm);
}

Json of_component(const wire::CcaComponent& one) {
  Json out;
  if (one.type) out["type"] = safe(*one.type);
  if (one.version) out["version"] = safe(*one.version);
  out["value"] = to_hex(one.value);
  out["signer"] = to_hex(one.signer);
  if (one.hash) out["hash"] = safe(*one.hash);
  return out;
}

Json of_platform(const CcaStatement& s) {
  if (!s.has_platform) return Json{{"problem", "there is none"}};
  if (!s.platform.claims) return Json{{"problem", s.platform.problem}};
  const wire::CcaPlatformClaims& claims = *s.platform.claims;
  Json out{{"profile", safe(claims.profile)},
           {"algorithm", algorithm_text(s.platform.cose->algorithm)},
           {"challenge", to_hex(claims.challenge)},
           {"implementation", to_hex(claims.implementation)},
           {"instance", to_hex(claims.instance)},
           {"config", to_hex(claims.config)},
           {"lifecycle", fmt::format("{} ({:#x})", wire::cca_lifecycle_name(claims.lifecycle),
                                     claims.lifecycle)},
           {"hash", safe(claims.hash)}};
  if (claims.service) out["verification_service"] = safe(*claims.service);
  for (const wire::CcaComponent& one : claims.components)
    out["components"].push_back(of_component(one));
  if (claims.unknown != 0) out["other_claims"] = claims.unknown;
  return out;
}

Json of_realm(const CcaStatement& s) {
  if (!s.realm.claims) return Json{{"problem", s.realm.problem}};
  const wire::CcaRealmClaims& claims = *s.realm.claims;
  Json out{{"profile", claims.profile ? safe(*claims.profile) : "none"},
           {"algorithm", algorithm_text(s.realm.cose->algorithm)},
           {"challenge", to_hex(claims.challenge)},
           {"personalization", to_hex(claims.personalization)},
           {"hash", safe(claims.hash)},
           {"initial", to_hex(claims.initial)}};
  if (claims.instance) out["instance"] = to_hex(*claims.instance);
  for (const Bytes& one : claims.extensible) out["extensible"].push_back(to_hex(one));
  if (claims.private_mec) out["mec"] = *claims.private_mec ? "private" : "shared";
  if (s.realm_key) {
    out["key"] = crypto::key_type_name(s.realm_key->type());
    out["key_sha256"] = to_hex(crypto::hash(crypto::HashAlgorithm::kSha256, s.realm_key->der()));
  } else {
    out["key_problem"] = s.key_problem;
  }
  out["key_hash"] = safe(claims.public_key_hash);
  if (claims.unknown != 0) out["other_claims"] = claims.unknown;
  return out;
}

}  // namespace

Json as_json(const CcaStatement& s) {
  Json out{{"kind", "CCA attestation token"}, {"bytes", s.file.size()}};
  if (!s.problem.empty()) {
    out["problem"] = s.problem;
    return out;
  }
  out["platform"] = of_platform(s);
  out["realm"] = of_realm(s);
  return out;
}

}  // namespace teeio::evidence
