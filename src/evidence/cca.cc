#include "evidence/cca.h"

#include "crypto/key_text.h"

namespace teeio::evidence {
namespace {

crypto::KeyType type_of(wire::CoseEcKey::Curve curve) {
  switch (curve) {
    case wire::CoseEcKey::Curve::kP256:
      return crypto::KeyType::kP256;
    case wire::CoseEcKey::Curve::kP384:
      return crypto::KeyType::kP384;
    case wire::CoseEcKey::Curve::kP521:
      break;
  }
  return crypto::KeyType::kP521;
}

Result<crypto::PublicKey> key_of(ByteView cose_key) {
  TEEIO_ASSIGN(const auto key, wire::CoseEcKey::decode(cose_key));
  return crypto::PublicKey::from_point(type_of(key.curve), key.point);
}

template <class Claims>
void read(CcaPart<Claims>& part, ByteView bytes) {
  auto cose = wire::CoseSign1::decode(bytes);
  if (!cose) {
    part.problem = cose.error().why;
    return;
  }
  auto claims = Claims::decode(cose->payload);
  if (!claims) {
    part.problem = claims.error().why;
    return;
  }
  part.cose = std::move(*cose);
  part.claims = std::move(*claims);
}

template <class Claims>
void add(const CcaPart<Claims>& part, const std::string& name, std::vector<Part>& parts) {
  if (!part.cose) return;
  parts.push_back({name + "-claims.cbor", part.cose->payload});
  parts.push_back({name + "-signed.bin", part.cose->to_sign()});
  const auto signing = cose_signing(part.cose->algorithm);
  if (signing && part.cose->signature.size() == crypto::signature_size(signing->algorithm))
    parts.push_back({name + "-signature.bin",
                     crypto::openssl_signature(signing->algorithm, part.cose->signature)});
}

}  // namespace

std::optional<CoseSigning> cose_signing(std::int64_t algorithm) {
  switch (static_cast<wire::CoseAlgorithm>(algorithm)) {
    case wire::CoseAlgorithm::kEs256:
      return CoseSigning{crypto::SignatureAlgorithm::kEcdsaP256, crypto::HashAlgorithm::kSha256};
    case wire::CoseAlgorithm::kEs384:
      return CoseSigning{crypto::SignatureAlgorithm::kEcdsaP384, crypto::HashAlgorithm::kSha384};
    case wire::CoseAlgorithm::kEs512:
      return CoseSigning{crypto::SignatureAlgorithm::kEcdsaP521, crypto::HashAlgorithm::kSha512};
  }
  return std::nullopt;
}

CcaStatement CcaStatement::of(Bytes file) {
  CcaStatement s;
  s.file = std::move(file);
  const auto token = wire::CcaToken::decode(s.file);
  if (!token) {
    s.problem = token.error().why;
    return s;
  }
  s.has_platform = token->platform.has_value();
  if (token->platform) read(s.platform, *token->platform);
  read(s.realm, token->realm);
  if (!s.realm.claims) return s;
  auto key = key_of(s.realm.claims->public_key);
  if (key)
    s.realm_key = std::move(*key);
  else
    s.key_problem = key.error().why;
  return s;
}

std::vector<Part> extract(const CcaStatement& s) {
  std::vector<Part> parts;
  add(s.platform, "platform", parts);
  add(s.realm, "realm", parts);
  if (s.realm_key) {
    const std::string pem = crypto::public_key_pem(*s.realm_key);
    const ByteView view = std::as_bytes(std::span(pem));
    parts.push_back({"realm-key.pub.pem", Bytes(view.begin(), view.end())});
  }
  return parts;
}

}  // namespace teeio::evidence
