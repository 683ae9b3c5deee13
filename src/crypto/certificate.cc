#include "crypto/certificate.h"

#include <openssl/asn1.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "crypto/dmtf_oids.h"
#include "crypto/ec_public_key.h"
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

}  // namespace

/// Nullopt: it is not plain.
std::optional<Certificate> Certificate::parse_plain(ByteView der) {
  if (!detail::read_plain(der)) return std::nullopt;
  Bytes kept(der.begin(), der.end());
  auto plain = detail::read_plain(kept);  // views into what is kept
  auto key = detail::ec_public_key(plain->curve, plain->point);
  if (key == nullptr) return std::nullopt;  // no point of the curve: OpenSSL says why
  auto public_key = PublicKey::from_handle(std::move(key));
  if (!public_key) return std::nullopt;
  const bool self_issued = std::ranges::equal(plain->issuer, plain->subject);
  Parsed parsed{.handle = nullptr,
                .der = std::move(kept),
                .plain = plain,
                .key = *std::move(public_key),
                .self_issued = self_issued,
                .ca = plain->is_ca,
                .hardware_identity = plain->hardware_identity,
                .mutable_certificate = plain->is_mutable};
  return Certificate(std::make_shared<const Parsed>(std::move(parsed)));
}

Result<Certificate> Certificate::parse(ByteView der) {
  if (der.size() > kMaxSize) return fail(Errno::kInval, "a certificate is too large");
  if (auto plain = parse_plain(der)) return *std::move(plain);
  detail::know_ecdsa_with_sha3();  // before OpenSSL looks at the extensions, and keeps what it saw
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
  return Certificate(std::make_shared<const Parsed>(Parsed{
      std::move(handle), Bytes(der.begin(), der.end()), std::nullopt, std::move(public_key),
      self_issued, (flags & EXFLAG_CA) != 0, spdm.hardware_identity, spdm.mutable_certificate}));
}

Result<Certificate> Certificate::from_pem(std::string_view text) {
  TEEIO_ASSIGN(const CertificateChain chain, CertificateChain::from_pem(text));
  return chain.first();
}

detail::Handle<x509_st> Certificate::handle() const {
  if (X509* const parsed = parsed_->handle.get(); parsed != nullptr) {
    X509_up_ref(parsed);
    return detail::Handle<x509_st>(parsed);
  }
  const unsigned char* at = detail::data_of(der());
  return detail::Handle<x509_st>(d2i_X509(nullptr, &at, static_cast<long>(der().size())));
}

std::string Certificate::pem() const {
  BIO* const bio = BIO_new(BIO_s_mem());
  TEEIO_CHECK(bio != nullptr && PEM_write_bio(bio, PEM_STRING_X509, "", detail::data_of(der()),
                                              static_cast<long>(der().size())) > 0,
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
  if (const auto certificate = handle(); certificate != nullptr)
    (void)X509_NAME_print_ex(bio, X509_get_subject_name(certificate.get()), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  std::string out(text, static_cast<std::size_t>(std::max(0L, size)));
  BIO_free(bio);
  return out;
}

TrustAnchors::TrustAnchors(std::span<const Certificate> roots) : store_(X509_STORE_new()) {
  TEEIO_CHECK(store_ != nullptr, "OpenSSL makes no certificate store");
  for (const Certificate& root : roots) {
    const auto certificate = root.handle();
    if (certificate == nullptr) continue;  // what OpenSSL does not read anchors nothing
    TEEIO_CHECK(X509_STORE_add_cert(store_.get(), certificate.get()) == 1,
                "OpenSSL takes no trusted certificate");
    roots_.push_back(root);
  }
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
