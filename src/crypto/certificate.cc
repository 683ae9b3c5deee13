#include "crypto/certificate.h"

#include <openssl/asn1.h>
#include <openssl/core_names.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>

#include "base/check.h"
#include "crypto/chain_problem.h"
#include "crypto/dmtf_oids.h"
#include "crypto/openssl.h"

namespace teeio::crypto {
namespace {

struct FreeSequence {
  void operator()(ASN1_SEQUENCE_ANY* p) const { sk_ASN1_TYPE_pop_free(p, ASN1_TYPE_free); }
};
using Sequence = std::unique_ptr<ASN1_SEQUENCE_ANY, FreeSequence>;

Sequence read_sequence(const ASN1_STRING* from) {
  const unsigned char* at = ASN1_STRING_get0_data(from);
  return Sequence(d2i_ASN1_SEQUENCE_ANY(nullptr, &at, ASN1_STRING_length(from)));
}

const ASN1_OBJECT* object_id(const char* dotted) {
  const ASN1_OBJECT* const made = OBJ_txt2obj(dotted, /*no_name=*/1);
  TEEIO_CHECK(made != nullptr, "OpenSSL reads no object identifier");
  return made;
}

/// The object identifiers in id-DMTF-SPDM-extension: a sequence of sequences
/// whose first element is one. DSP0274 1.2, "SPDM certificate object identifiers".
/// What is not of this form counts as absent: the extension is not critical.
struct SpdmExtension {
  bool hardware_identity = false;
  bool mutable_certificate = false;
};

void note(SpdmExtension& found, const ASN1_STRING* entry) {
  static const ASN1_OBJECT* const kHardware = object_id(kOidHardwareIdentity);
  static const ASN1_OBJECT* const kMutable = object_id(kOidMutableCertificate);
  const Sequence fields = read_sequence(entry);
  if (fields == nullptr || sk_ASN1_TYPE_num(fields.get()) < 1) return;
  const ASN1_TYPE* const first = sk_ASN1_TYPE_value(fields.get(), 0);
  if (first->type != V_ASN1_OBJECT) return;
  if (OBJ_cmp(first->value.object, kHardware) == 0) found.hardware_identity = true;
  if (OBJ_cmp(first->value.object, kMutable) == 0) found.mutable_certificate = true;
}

SpdmExtension spdm_extension(X509* certificate) {
  static const ASN1_OBJECT* const kExtension = object_id(kOidSpdmExtension);
  SpdmExtension found;
  const int at = X509_get_ext_by_OBJ(certificate, kExtension, -1);
  if (at < 0) return found;
  const Sequence entries = read_sequence(X509_EXTENSION_get_data(X509_get_ext(certificate, at)));
  for (int i = 0; entries != nullptr && i < sk_ASN1_TYPE_num(entries.get()); ++i) {
    const ASN1_TYPE* const entry = sk_ASN1_TYPE_value(entries.get(), i);
    if (entry->type == V_ASN1_SEQUENCE) note(found, entry->value.sequence);
  }
  return found;
}

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

std::optional<Fault> order_fault(std::span<const Certificate> chain) {
  for (std::size_t i = 0; i < chain.size(); ++i) {
    X509* const one = chain[i].handle();
    if (spells_curve(one))
      return Fault{{Errno::kInval, "a certificate's key spells out its curve"}, i, {}};
    // SPDM fixes the order, so that every verifier sees the same path.
    if (i > 0 && X509_check_issued(chain[i - 1].handle(), one) != X509_V_OK)
      return Fault{{Errno::kAcces, "a certificate is not by the one before it"}, i, {}};
  }
  if (const auto good = check_leaf(chain.back().handle()); !good)
    return Fault{good.error(), chain.size() - 1, {}};
  return std::nullopt;
}

std::optional<Fault> find_fault(std::span<const Certificate> chain, const TrustAnchors& anchors,
                                std::optional<std::int64_t> unix_time) {
  if (auto fault = order_fault(chain)) return fault;
  const std::unique_ptr<STACK_OF(X509), FreeStack> others(sk_X509_new_null());
  TEEIO_CHECK(others != nullptr, "OpenSSL gives no memory");
  for (const Certificate& one : chain.first(chain.size() - 1))
    TEEIO_CHECK(sk_X509_push(others.get(), one.handle()) > 0, "OpenSSL gives no memory");
  const std::unique_ptr<X509_STORE_CTX, FreeStoreContext> context(X509_STORE_CTX_new());
  TEEIO_CHECK(context != nullptr && X509_STORE_CTX_init(context.get(), anchors.handle(),
                                                        chain.back().handle(), others.get()) == 1,
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

Result<Certificate> Certificate::parse(ByteView der) {
  if (der.size() > kMaxSize) return fail(Errno::kInval, "a certificate is too large");
  const unsigned char* at = detail::data_of(der);
  detail::Handle<X509> handle(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (handle == nullptr) return fail(Errno::kInval, "no X.509 certificate");
  if (at != detail::data_of(der) + der.size())
    return fail(Errno::kInval, "bytes follow the certificate");
  EVP_PKEY* const key = X509_get_pubkey(handle.get());
  if (key == nullptr) return fail(Errno::kInval, "a certificate's key cannot be read");
  TEEIO_ASSIGN(PublicKey public_key,
               PublicKey::from_handle(std::shared_ptr<evp_pkey_st>(key, detail::Free())));
  const std::uint32_t flags = X509_get_extension_flags(handle.get());
  if ((flags & EXFLAG_INVALID) != 0)
    return fail(Errno::kInval, "a certificate's extensions cannot be read");
  const bool self_issued =
      X509_NAME_cmp(X509_get_subject_name(handle.get()), X509_get_issuer_name(handle.get())) == 0;
  const SpdmExtension spdm = spdm_extension(handle.get());
  return Certificate(std::make_shared<const Parsed>(
      Parsed{std::move(handle), Bytes(der.begin(), der.end()), std::move(public_key), self_issued,
             (flags & EXFLAG_CA) != 0, spdm.hardware_identity, spdm.mutable_certificate}));
}

Result<Certificate> Certificate::from_pem(std::string_view text) {
  TEEIO_ASSIGN(const CertificateChain chain, CertificateChain::from_pem(text));
  return chain.first();
}

std::string Certificate::pem() const {
  BIO* const bio = BIO_new(BIO_s_mem());
  TEEIO_CHECK(bio != nullptr && PEM_write_bio_X509(bio, handle()) == 1,
              "a certificate has no PEM form");
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  std::string out(text, static_cast<std::size_t>(size));
  BIO_free(bio);
  return out;
}

std::string Certificate::subject() const {
  BIO* const bio = BIO_new(BIO_s_mem());
  TEEIO_CHECK(bio != nullptr, "OpenSSL gives no memory");
  (void)X509_NAME_print_ex(bio, X509_get_subject_name(handle()), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  std::string out(text, static_cast<std::size_t>(std::max(0L, size)));
  BIO_free(bio);
  return out;
}

TrustAnchors::TrustAnchors(std::span<const Certificate> roots)
    : roots_(roots.begin(), roots.end()), store_(X509_STORE_new()) {
  TEEIO_CHECK(store_ != nullptr, "OpenSSL makes no certificate store");
  for (const Certificate& root : roots_)
    TEEIO_CHECK(X509_STORE_add_cert(store_.get(), root.handle()) == 1,
                "OpenSSL takes no trusted certificate");
  // An anchor may be an authority below a root, as where a vendor's is pinned.
  TEEIO_CHECK(X509_STORE_set_flags(store_.get(), X509_V_FLAG_PARTIAL_CHAIN) == 1,
              "OpenSSL takes no flag");
  // 112 bits: everything that SPDM has, and no SHA-1.
  constexpr int kLevel112Bits = 2;
  X509_VERIFY_PARAM_set_auth_level(X509_STORE_get0_param(store_.get()), kLevel112Bits);
}

Result<CertificateChain> CertificateChain::parse(ByteView certificates,
                                                 std::span<const Certificate> known) {
  std::vector<Certificate> parsed;
  while (!certificates.empty()) {
    if (parsed.size() == kMaxCertificates)
      return fail(Errno::kTooBig, "a chain has too many certificates");
    // Where the next one ends is in its outer tag and length.
    const unsigned char* at = detail::data_of(certificates);
    long length = 0;
    int tag = 0;
    int tag_class = 0;
    const long limit = static_cast<long>(certificates.size());
    if ((ASN1_get_object(&at, &length, &tag, &tag_class, limit) & 0x80) != 0 ||
        tag != V_ASN1_SEQUENCE || tag_class != V_ASN1_UNIVERSAL)
      return fail(Errno::kInval, "no certificate where one begins");
    const auto size = static_cast<std::size_t>(at - detail::data_of(certificates)) +
                      static_cast<std::size_t>(length);
    const ByteView der = certificates.first(size);
    const auto seen = std::ranges::find_if(
        known, [&](const Certificate& one) { return std::ranges::equal(one.der(), der); });
    if (seen != known.end()) {
      parsed.push_back(*seen);
    } else {
      TEEIO_ASSIGN(Certificate certificate, Certificate::parse(der));
      parsed.push_back(std::move(certificate));
    }
    certificates = certificates.subspan(size);
  }
  if (parsed.empty()) return fail(Errno::kInval, "a chain has no certificate");
  return CertificateChain(std::move(parsed));
}

Result<CertificateChain> CertificateChain::from_pem(std::string_view text) {
  BIO* const bio = BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  Writer der;
  // Other blocks (a key, parameters) and text between them are passed over.
  while (PEM_read_bio(bio, &name, &header, &data, &size) == 1) {
    if (std::string_view(name) == PEM_STRING_X509)
      der.bytes(std::as_bytes(std::span(data, static_cast<std::size_t>(size))));
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
  }
  BIO_free(bio);
  if (der.size() == 0) return fail(Errno::kInval, "no certificate in the PEM text");
  return parse(der.take());
}

CertificateChain CertificateChain::of(std::vector<Certificate> certificates) {
  TEEIO_CHECK(!certificates.empty(), "a chain is made of no certificates");
  return CertificateChain(std::move(certificates));
}

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
    const X509* const one = chain.certificates()[i].handle();
    // X509_cmp_time(): 0 for a date that makes no sense, -1 when it is not after `now`.
    if (X509_cmp_time(X509_get0_notBefore(one), &now) != -1)
      return name_of(chain, i) + " is valid only from " + date_of(X509_get0_notBefore(one)) + " on";
    if (X509_cmp_time(X509_get0_notAfter(one), &now) != 1)
      return name_of(chain, i) + " expired on " + date_of(X509_get0_notAfter(one));
  }
  return std::nullopt;
}

Bytes CertificateChain::der() const {
  Writer out;
  for (const Certificate& certificate : certificates_) out.bytes(certificate.der());
  return out.take();
}

std::string CertificateChain::pem() const {
  std::string out;
  for (const Certificate& certificate : certificates_) out += certificate.pem();
  return out;
}

Result<SpdmCertificateChain> SpdmCertificateChain::parse(ByteView blob, HashAlgorithm hash,
                                                         std::span<const Certificate> known) {
  Reader in(blob);
  // Up to 1.3 a 16-bit length and 16 reserved bits, in 1.4 a 32-bit length.
  const auto length = in.le<std::uint32_t>();
  const ByteView root_hash = in.take(hash_size(hash));
  if (!in.ok() || length != blob.size())
    return fail(Errno::kInval, "a certificate chain's length is not its size");
  TEEIO_ASSIGN(CertificateChain chain, CertificateChain::parse(in.rest(), known));
  // The root itself may be left out; when it is there, it is the one that is named.
  if (chain.first().is_self_issued() &&
      !std::ranges::equal(crypto::hash(hash, chain.first().der()).view(), root_hash))
    return fail(Errno::kInval, "the root hash is not the first certificate's");
  SpdmCertificateChain out{Digest(root_hash.size()), std::move(chain)};
  std::ranges::copy(root_hash, out.root_hash.writable().begin());
  return out;
}

Bytes encode_spdm_chain(const CertificateChain& chain, HashAlgorithm hash) {
  const Bytes der = chain.der();
  const Digest root = crypto::hash(hash, chain.first().der());
  const std::size_t size = sizeof(std::uint32_t) + root.size() + der.size();
  return Writer().le(static_cast<std::uint32_t>(size)).bytes(root).bytes(der).take();
}

}  // namespace teeio::crypto
