// Path validation by RFC 5280, clause 6.1, as far as SPDM needs it. OpenSSL's own would
// want every key decoded its way, which takes longer than a P-256 session.
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/certificate.h"
#include "crypto/openssl.h"

namespace teeio::crypto {
namespace {

/// DSP0274 1.2, 10.8 "Certificates": what a leaf must have.
Result<void> check_leaf(X509* leaf) {
  constexpr long kVersion3 = 2;  // as encoded
  if (X509_get_version(leaf) != kVersion3)
    return fail(Errno::kInval, "the leaf certificate is not of X.509 version 3");
  if (ASN1_STRING_length(X509_get0_serialNumber(leaf)) == 0)
    return fail(Errno::kInval, "the leaf certificate has no serial number");
  const std::uint32_t usage = X509_get_key_usage(leaf);  // all ones when it is absent
  if ((usage & KU_DIGITAL_SIGNATURE) == 0)
    return fail(Errno::kInval, "the leaf certificate's key is not for signatures");
  if ((X509_get_extension_flags(leaf) & EXFLAG_CA) != 0)
    return fail(Errno::kInval, "the leaf certificate is an authority's");
  return {};
}

/// What holds for every certificate of a path (6.1.3, 6.1.4 (o)).
Result<void> check_any(X509* certificate, std::optional<std::int64_t> unix_time) {
  if ((X509_get_extension_flags(certificate) & EXFLAG_CRITICAL) != 0 ||
      X509_get_ext_by_NID(certificate, NID_name_constraints, -1) >= 0)
    return fail(Errno::kAcces, "a certificate has a critical extension that is not known");
  if (!unix_time) return {};
  auto at = static_cast<time_t>(*unix_time);
  if (X509_cmp_time(X509_get0_notBefore(certificate), &at) >= 0 ||
      X509_cmp_time(X509_get0_notAfter(certificate), &at) <= 0)
    return fail(Errno::kTimedOut, "a certificate is not valid at this time");
  return {};
}

/// 6.1.4 (k) to (n). `below`: authorities between this one and the leaf that count.
Result<void> check_issuer(X509* issuer, long below) {
  if ((X509_get_extension_flags(issuer) & EXFLAG_CA) == 0 ||
      (X509_get_key_usage(issuer) & KU_KEY_CERT_SIGN) == 0)
    return fail(Errno::kAcces, "a certificate is by one that may not issue");
  const long limit = X509_get_pathlen(issuer);  // -1: none
  if (limit >= 0 && below > limit)
    return fail(Errno::kAcces, "a path is longer than one of its issuers allows");
  return {};
}

/// The certificate without its signature: the first element of its DER, as it came.
ByteView signed_part(ByteView der) {
  const unsigned char* at = detail::data_of(der);
  long length = 0;
  int tag = 0;
  int tag_class = 0;
  (void)ASN1_get_object(&at, &length, &tag, &tag_class, static_cast<long>(der.size()));
  const unsigned char* const begin = at;
  (void)ASN1_get_object(&at, &length, &tag, &tag_class, length);
  const auto skipped = static_cast<std::size_t>(begin - detail::data_of(der));
  return der.subspan(skipped, static_cast<std::size_t>(at - begin + length));
}

std::optional<HashAlgorithm> hash_of(int nid) {
  switch (nid) {
    case NID_sha256:
      return HashAlgorithm::kSha256;
    case NID_sha384:
      return HashAlgorithm::kSha384;
    case NID_sha512:
      return HashAlgorithm::kSha512;
    case NID_sha3_256:
      return HashAlgorithm::kSha3_256;
    case NID_sha3_384:
      return HashAlgorithm::kSha3_384;
    case NID_sha3_512:
      return HashAlgorithm::kSha3_512;
    default:
      return std::nullopt;
  }
}

/// The OID of the key type that signs with a signature algorithm of X.509.
int key_nid(KeyType type) {
  switch (type) {
    case KeyType::kRsa2048:
    case KeyType::kRsa3072:
    case KeyType::kRsa4096:
      return NID_rsaEncryption;
    case KeyType::kP256:
    case KeyType::kP384:
    case KeyType::kP521:
      return NID_X9_62_id_ecPublicKey;
    case KeyType::kEd25519:
      return NID_ED25519;
  }
  return NID_undef;
}

/// RSA-PSS, whose parameters are in the certificate: by OpenSSL, which wants to have
/// parsed it with all its algorithms.
bool is_signed_with_pss(const Certificate& subject, const PublicKey& issuer) {
  const unsigned char* at = detail::data_of(subject.der());
  const detail::Handle<X509> whole(d2i_X509(nullptr, &at, static_cast<long>(subject.der().size())));
  return whole != nullptr && X509_verify(whole.get(), issuer.handle()) == 1;
}

Result<void> check_signature(const Certificate& subject, const PublicKey& issuer) {
  constexpr Error kWrong{Errno::kAcces, "a certificate's signature is wrong"};
  const ASN1_BIT_STRING* signature = nullptr;
  const X509_ALGOR* outer = nullptr;
  X509_get0_signature(&signature, &outer, subject.handle());
  if (X509_ALGOR_cmp(outer, X509_get0_tbs_sigalg(subject.handle())) != 0)
    return std::unexpected(kWrong);
  const int algorithm = X509_get_signature_nid(subject.handle());
  if (algorithm == NID_rsassaPss) {
    if (!is_signed_with_pss(subject, issuer)) return std::unexpected(kWrong);
    return {};
  }
  int hash_nid = NID_undef;
  int signer_nid = NID_undef;
  if (OBJ_find_sigid_algs(algorithm, &hash_nid, &signer_nid) != 1 ||
      signer_nid != key_nid(issuer.type()))
    return fail(Errno::kAcces, "a certificate's signature is not of its issuer's kind");
  const auto hash = signer_nid == NID_ED25519 ? HashAlgorithm::kSha512 : hash_of(hash_nid);
  if (!hash) return fail(Errno::kAcces, "a certificate is signed over a hash that SPDM lacks");
  const auto bits = std::as_bytes(std::span(
      ASN1_STRING_get0_data(signature), static_cast<std::size_t>(ASN1_STRING_length(signature))));
  if (!issuer.verify_x509(*hash, signed_part(subject.der()), bits)) return std::unexpected(kWrong);
  return {};
}

/// Names and, where they are given, key identifiers.
bool names_as_issuer(const Certificate& subject, const Certificate& issuer) {
  if (X509_NAME_cmp(X509_get_issuer_name(subject.handle()),
                    X509_get_subject_name(issuer.handle())) != 0)
    return false;
  const ASN1_OCTET_STRING* const wanted = X509_get0_authority_key_id(subject.handle());
  const ASN1_OCTET_STRING* const have = X509_get0_subject_key_id(issuer.handle());
  return wanted == nullptr || have == nullptr || ASN1_OCTET_STRING_cmp(wanted, have) == 0;
}

/// `path` begins with a trusted certificate and ends with the leaf.
Result<void> check_path(std::span<const Certificate* const> path,
                        std::optional<std::int64_t> unix_time) {
  long below = 0;
  for (std::size_t i = path.size(); i-- > 0;) {
    X509* const certificate = path[i]->handle();
    TEEIO_TRY(check_any(certificate, unix_time));
    const bool issues = i + 1 < path.size();
    if (issues) {
      TEEIO_TRY(check_issuer(certificate, below));
      if (!path[i]->is_self_issued()) ++below;
    }
    if (i == 0) break;  // trusted for itself
    if (!names_as_issuer(*path[i], *path[i - 1]))
      return fail(Errno::kAcces, "a certificate is not by the one before it");
    TEEIO_TRY(check_signature(*path[i], path[i - 1]->public_key()));
  }
  return {};
}

}  // namespace

Result<void> CertificateChain::verify(const TrustAnchors& anchors,
                                      std::optional<std::int64_t> unix_time) const {
  TEEIO_TRY(check_leaf(leaf().handle()));
  std::vector<const Certificate*> path;
  for (const Certificate& certificate : certificates_) {
    if (anchors.contains(certificate)) path.clear();  // what is above it does not matter
    path.push_back(&certificate);
  }
  if (anchors.contains(*path.front())) return check_path(path, unix_time);
  // The root is left out of the chain: any anchor of that name may be it.
  path.insert(path.begin(), nullptr);
  Result<void> verdict =
      fail(Errno::kAcces, "the certificate chain does not end in a trusted root");
  for (const Certificate& anchor : anchors.certificates()) {
    if (!names_as_issuer(*path[1], anchor)) continue;
    path[0] = &anchor;
    verdict = check_path(path, unix_time);
    if (verdict) break;
  }
  return verdict;
}

}  // namespace teeio::crypto
