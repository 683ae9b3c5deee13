// Whether the certificates of a chain are by one another, and which is to blame.
#include <openssl/asn1.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>

#include "base/check.h"
#include "crypto/certificate.h"
#include "crypto/chain_problem.h"
#include "crypto/ec_public_key.h"
#include "crypto/kept_results.h"
#include "crypto/openssl.h"

namespace teeio::crypto {
namespace {

struct FreeStoreContext {
  void operator()(X509_STORE_CTX* p) const { X509_STORE_CTX_free(p); }
};
struct FreeStack {
  void operator()(STACK_OF(X509) * p) const { sk_X509_free(p); }
};

Error verdict_of(int code) {
  switch (code) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return {Errno::kTimedOut, "a certificate is not valid at this time"};
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return {Errno::kAcces, "a certificate's signature is wrong"};
    case X509_V_ERR_INVALID_CA:
    case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
      return {Errno::kAcces, "a certificate is by one that may not issue"};
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
      return {Errno::kAcces, "a path is longer than one of its issuers allows"};
    case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION:
      return {Errno::kAcces, "a certificate has a critical extension that is not known"};
    default:
      return {Errno::kAcces, "the certificate chain does not end in a trusted root"};
  }
}

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

/// The curve is spelt out instead of named, which many verifiers do not read. Source:
/// RFC 5480, 2.1.1 ("specifiedCurve … MUST NOT be used").
bool spells_curve(X509* certificate) {
  std::array<char, 16> encoding{};
  return EVP_PKEY_get_utf8_string_param(X509_get0_pubkey(certificate), OSSL_PKEY_PARAM_EC_ENCODING,
                                        encoding.data(), encoding.size(), nullptr) == 1 &&
         std::string_view(encoding.data()) == OSSL_PKEY_EC_ENCODING_EXPLICIT;
}

/// Why a chain does not verify, and which of its certificates is to blame.
struct Fault {
  Error error;
  std::size_t at = 0;
  std::string_view detail;  ///< OpenSSL's words; empty: `error` has all
};

using Handles = std::vector<detail::Handle<X509>>;

std::optional<Fault> order_fault(const Handles& chain) {
  for (std::size_t i = 0; i < chain.size(); ++i) {
    X509* const one = chain[i].get();
    if (one == nullptr) return Fault{{Errno::kInval, "no X.509 certificate"}, i, {}};
    if (spells_curve(one))
      return Fault{{Errno::kInval, "a certificate's key spells out its curve"}, i, {}};
    // SPDM fixes the order, so that every verifier sees the same path.
    if (i > 0 && X509_check_issued(chain[i - 1].get(), one) != X509_V_OK)
      return Fault{{Errno::kAcces, "a certificate is not by the one before it"}, i, {}};
  }
  if (const auto good = check_leaf(chain.back().get()); !good)
    return Fault{good.error(), chain.size() - 1, {}};
  return std::nullopt;
}

bool is_genuine(const PublicKey& issuer, const Digest& digest, ByteView signature) {
  const detail::Handle<EVP_PKEY_CTX> context(
      EVP_PKEY_CTX_new_from_pkey(nullptr, issuer.handle(), nullptr));
  return context != nullptr && EVP_PKEY_verify_init(context.get()) == 1 &&
         EVP_PKEY_verify(context.get(), detail::data_of(signature), signature.size(),
                         detail::data_of(digest.view()), digest.size()) == 1;
}

/// The signature below by the key above, over what was signed.
bool is_signed_by(const PublicKey& issuer, const detail::PlainCertificate& certificate) {
  const Digest digest = hash(certificate.hash, certificate.signed_part);
  const auto verify = [&] { return is_genuine(issuer, digest, certificate.signature); };
  if (!detail::keeps_results()) return verify();
  const Bytes whose = detail::point_of(issuer.handle());
  const Bytes answer = detail::kept_or({detail::operation("certificate"), whose,
                                        bytes_of(certificate.hash), digest, certificate.signature},
                                       [&] { return Bytes(1, std::byte{verify()}); });
  return answer.front() != std::byte{0};
}

/// True: the path holds, for certain. false: OpenSSL has to say, and why.
bool holds_plainly(std::span<const Certificate> chain, const TrustAnchors& anchors) {
  const auto roots = anchors.certificates();
  if (std::ranges::find(roots, chain.front()) == roots.end()) return false;
  std::vector<detail::PlainCertificate> plain;
  for (const Certificate& one : chain) {
    if (one.plain() == nullptr) return false;
    plain.push_back(*one.plain());
  }
  if (!detail::is_plain_path(plain)) return false;
  for (std::size_t i = 1; i < chain.size(); ++i)
    if (!is_signed_by(chain[i - 1].public_key(), plain[i])) {
      ERR_clear_error();
      return false;
    }
  return true;
}

std::optional<Fault> find_fault(std::span<const Certificate> certificates,
                                const TrustAnchors& anchors,
                                std::optional<std::int64_t> unix_time) {
  if (!unix_time && holds_plainly(certificates, anchors)) return std::nullopt;
  detail::know_ecdsa_with_sha3();
  Handles chain;
  for (const Certificate& one : certificates) chain.push_back(one.handle());
  if (auto fault = order_fault(chain)) return fault;
  const std::unique_ptr<STACK_OF(X509), FreeStack> others(sk_X509_new_null());
  TEEIO_CHECK(others != nullptr, "OpenSSL gives no memory");
  for (std::size_t i = 0; i + 1 < chain.size(); ++i)
    TEEIO_CHECK(sk_X509_push(others.get(), chain[i].get()) > 0, "OpenSSL gives no memory");
  const std::unique_ptr<X509_STORE_CTX, FreeStoreContext> context(X509_STORE_CTX_new());
  TEEIO_CHECK(context != nullptr && X509_STORE_CTX_init(context.get(), anchors.handle(),
                                                        chain.back().get(), others.get()) == 1,
              "OpenSSL verifies no chain");
  if (unix_time)
    X509_STORE_CTX_set_time(context.get(), 0, static_cast<time_t>(*unix_time));
  else
    X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_NO_CHECK_TIME);
  if (X509_verify_cert(context.get()) == 1) return std::nullopt;
  const int code = X509_STORE_CTX_get_error(context.get());
  // OpenSSL counts from the leaf, and its path may go on to an anchor outside.
  const auto depth = static_cast<std::size_t>(X509_STORE_CTX_get_error_depth(context.get()));
  return Fault{verdict_of(code), depth < chain.size() ? chain.size() - 1 - depth : 0,
               X509_verify_cert_error_string(code)};
}

std::string name_of(const CertificateChain& chain, std::size_t at) {
  return "certificate " + std::to_string(at + 1) + " of " +
         std::to_string(chain.certificates().size()) + " (" + chain.certificates()[at].subject() +
         ")";
}

std::string date_of(const ASN1_TIME* time) {
  std::tm when{};
  if (ASN1_TIME_to_tm(time, &when) != 1) return "a date that cannot be read";
  std::array<char, 24> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &when)};
}

}  // namespace

Result<void> CertificateChain::verify(const TrustAnchors& anchors,
                                      std::optional<std::int64_t> unix_time) const {
  if (const auto fault = find_fault(certificates_, anchors, unix_time))
    return std::unexpected(fault->error);
  return {};
}

std::optional<std::string> chain_problem(const CertificateChain& chain,
                                         const TrustAnchors& anchors) {
  const auto fault = find_fault(chain.certificates(), anchors, std::nullopt);
  if (!fault) return std::nullopt;
  return name_of(chain, fault->at) + ": " +
         std::string(fault->detail.empty() ? fault->error.why : fault->detail);
}

std::optional<std::string> chain_problem(const CertificateChain& chain) {
  const std::array root{chain.first()};
  return chain_problem(chain, TrustAnchors(root));
}

std::optional<std::string> validity_problem(const CertificateChain& chain, std::int64_t unix_time) {
  auto now = static_cast<time_t>(unix_time);
  for (std::size_t i = 0; i < chain.certificates().size(); ++i) {
    const auto certificate = chain.certificates()[i].handle();
    const X509* const one = certificate.get();
    if (one == nullptr) return name_of(chain, i) + " cannot be read";
    // X509_cmp_time(): 0 for a date that makes no sense, -1 when it is not after `now`.
    if (X509_cmp_time(X509_get0_notBefore(one), &now) != -1)
      return name_of(chain, i) + " is valid only from " + date_of(X509_get0_notBefore(one)) + " on";
    if (X509_cmp_time(X509_get0_notAfter(one), &now) != 1)
      return name_of(chain, i) + " expired on " + date_of(X509_get0_notAfter(one));
  }
  return std::nullopt;
}

}  // namespace teeio::crypto
