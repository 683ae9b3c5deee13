#include "crypto/certificate.h"

#include <openssl/asn1.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"
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

/// A library context without any algorithm. OpenSSL 3.0 decodes a certificate's key
/// while it parses it, and spends 30 times as long on finding a decoder as on
/// everything else; here it finds none, and the key is made below.
OSSL_LIB_CTX* no_algorithms() {
  static OSSL_LIB_CTX* const made = [] {
    OSSL_LIB_CTX* const context = OSSL_LIB_CTX_new();
    TEEIO_CHECK(context != nullptr && OSSL_PROVIDER_load(context, "null") != nullptr,
                "OpenSSL lacks the null provider");
    return context;
  }();
  return made;
}

std::optional<KeyExchangeGroup> curve_of(const X509_ALGOR* algorithm) {
  int type = 0;
  const void* value = nullptr;
  X509_ALGOR_get0(nullptr, &type, &value, algorithm);
  if (type != V_ASN1_OBJECT) return std::nullopt;
  switch (OBJ_obj2nid(static_cast<const ASN1_OBJECT*>(value))) {
    case NID_X9_62_prime256v1:
      return KeyExchangeGroup::kP256;
    case NID_secp384r1:
      return KeyExchangeGroup::kP384;
    case NID_secp521r1:
      return KeyExchangeGroup::kP521;
    default:
      return std::nullopt;
  }
}

/// The key by its bits, for the types whose encoding is only that; null for others
/// and for what is no key.
detail::Handle<EVP_PKEY> key_by_its_bits(X509* certificate) {
  ASN1_OBJECT* id = nullptr;
  const unsigned char* bits = nullptr;
  int size = 0;
  X509_ALGOR* algorithm = nullptr;
  if (X509_PUBKEY_get0_param(&id, &bits, &size, &algorithm, X509_get_X509_PUBKEY(certificate)) != 1)
    return nullptr;
  const ByteView key = std::as_bytes(std::span(bits, static_cast<std::size_t>(size)));
  switch (OBJ_obj2nid(id)) {
    case NID_X9_62_id_ecPublicKey: {
      const auto curve = curve_of(algorithm);
      if (!curve || key.size() != 1 + exchange_data_size(*curve)) return nullptr;
      return detail::public_key_of(*curve, key);
    }
    case NID_ED25519:
      return detail::Handle<EVP_PKEY>(
          EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bits, key.size()));
    default:
      return nullptr;
  }
}

struct Read {
  detail::Handle<X509> certificate;
  std::shared_ptr<evp_pkey_st> key;
};

detail::Handle<X509> read(ByteView der, OSSL_LIB_CTX* context) {
  const unsigned char* at = detail::data_of(der);
  X509* made = X509_new_ex(context, nullptr);
  // On an error d2i frees it and sets `made` to null.
  detail::Handle<X509> out(d2i_X509(&made, &at, static_cast<long>(der.size())));
  if (out != nullptr && at != detail::data_of(der) + der.size()) return nullptr;
  return out;
}

Result<Read> read_with_key(ByteView der) {
  Read out{read(der, no_algorithms()), nullptr};
  if (out.certificate == nullptr) return fail(Errno::kInval, "no X.509 certificate");
  out.key = key_by_its_bits(out.certificate.get());
  if (out.key != nullptr) return out;
  // RSA, and what else only OpenSSL's decoders know.
  out.certificate = read(der, nullptr);
  if (out.certificate != nullptr)
    out.key = std::shared_ptr<evp_pkey_st>(X509_get_pubkey(out.certificate.get()), detail::Free());
  if (out.key == nullptr) return fail(Errno::kInval, "a certificate's key cannot be read");
  return out;
}

}  // namespace

Result<Certificate> Certificate::parse(ByteView der) {
  if (der.size() > kMaxSize) return fail(Errno::kInval, "a certificate is too large");
  TEEIO_ASSIGN(Read parsed, read_with_key(der));
  TEEIO_ASSIGN(PublicKey public_key, PublicKey::from_handle(std::move(parsed.key)));
  X509* const x509 = parsed.certificate.get();
  const std::uint32_t flags = X509_get_extension_flags(x509);
  if ((flags & EXFLAG_INVALID) != 0)
    return fail(Errno::kInval, "a certificate's extensions cannot be read");
  const bool self_issued =
      X509_NAME_cmp(X509_get_subject_name(x509), X509_get_issuer_name(x509)) == 0;
  const SpdmExtension spdm = spdm_extension(x509);
  return Certificate(std::make_shared<const Parsed>(Parsed{
      std::move(parsed.certificate), Bytes(der.begin(), der.end()), std::move(public_key),
      self_issued, (flags & EXFLAG_CA) != 0, spdm.hardware_identity, spdm.mutable_certificate}));
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

Result<CertificateChain> CertificateChain::parse(ByteView certificates) {
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
    TEEIO_ASSIGN(Certificate certificate, Certificate::parse(certificates.first(size)));
    parsed.push_back(std::move(certificate));
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

Result<SpdmCertificateChain> SpdmCertificateChain::parse(ByteView blob, HashAlgorithm hash) {
  Reader in(blob);
  // Up to 1.3 a 16-bit length and 16 reserved bits, in 1.4 a 32-bit length.
  const auto length = in.le<std::uint32_t>();
  const ByteView root_hash = in.take(hash_size(hash));
  if (!in.ok() || length != blob.size())
    return fail(Errno::kInval, "a certificate chain's length is not its size");
  TEEIO_ASSIGN(CertificateChain chain, CertificateChain::parse(in.rest()));
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
