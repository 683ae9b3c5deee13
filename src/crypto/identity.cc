#include "crypto/identity.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <map>
#include <utility>

#include "base/check.h"
#include "crypto/dmtf_oids.h"
#include "crypto/issue.h"
#include "crypto/kept_results.h"
#include "crypto/openssl.h"
#include "crypto/random.h"
#include "schedule/fiber_controller.h"

namespace teeio::crypto {
namespace {

constexpr std::string_view kIdentityFails = "OpenSSL makes no certificate";
constexpr std::size_t kMostIdentities = 64;  ///< kept of explored runs
constexpr std::size_t kMaxName = 64;         ///< X.520, ub-common-name

/// id-DMTF-SPDM-extension: SEQUENCE { SEQUENCE { OID id-DMTF-hardware-identity } }.
constexpr std::array<unsigned char, 16> kSpdmExtension = {
    0x30, 0x0e, 0x30, 0x0c, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0x1c, 0x82, 0x12, 0x02};

enum class Role : std::uint8_t { kRoot, kIntermediate, kDevice };

void set_name(X509_NAME* name, std::string_view common_name) {
  TEEIO_CHECK(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                         reinterpret_cast<const unsigned char*>(common_name.data()),
                                         static_cast<int>(common_name.size()), -1, 0) == 1,
              kIdentityFails);
}

/// 63 random bits: positive, as RFC 5280 (4.1.2.2) wants it.
void set_serial(X509* certificate) {
  std::uint64_t serial = 0;
  fill_random(writable_bytes_of(serial));
  constexpr std::uint64_t kPositive = 0x7fff'ffff'ffff'ffff;
  TEEIO_CHECK(
      ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), (serial & kPositive) | 1U) == 1,
      kIdentityFails);
}

void add_extension(X509* certificate, X509V3_CTX& context, int nid, const std::string& value) {
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  TEEIO_CHECK(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1,
              kIdentityFails);
  X509_EXTENSION_free(extension);
}

void add_raw_extension(X509* certificate, const char* dotted, ByteView contents) {
  ASN1_OBJECT* const id = OBJ_txt2obj(dotted, /*no_name=*/1);
  ASN1_OCTET_STRING* const value = ASN1_OCTET_STRING_new();
  TEEIO_CHECK(id != nullptr && value != nullptr &&
                  ASN1_OCTET_STRING_set(value, detail::data_of(contents),
                                        static_cast<int>(contents.size())) == 1,
              kIdentityFails);
  X509_EXTENSION* const extension =
      X509_EXTENSION_create_by_OBJ(nullptr, id, /*critical=*/0, value);
  TEEIO_CHECK(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1,
              kIdentityFails);
  X509_EXTENSION_free(extension);
  ASN1_OCTET_STRING_free(value);
  ASN1_OBJECT_free(id);
}

void add_extensions(X509* certificate, X509* issuer, Role role, const LeafExtras& extras) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const bool device = role == Role::kDevice;
  add_extension(certificate, context, NID_basic_constraints,
                device ? "critical,CA:FALSE" : "critical,CA:TRUE");
  add_extension(certificate, context, NID_key_usage,
                device ? "critical,digitalSignature" : "critical,keyCertSign,cRLSign");
  add_extension(certificate, context, NID_subject_key_identifier, "hash");
  if (role != Role::kRoot)
    add_extension(certificate, context, NID_authority_key_identifier, "keyid");
  if (!device) return;
  add_extension(certificate, context, NID_ext_key_usage, extras.purposes);
  // DSP0274 1.2, "Subject alternative name": manufacturer, product, serial number.
  add_extension(certificate, context, NID_subject_alt_name,
                std::string("otherName:") + kOidDeviceInfo + ";UTF8:" + extras.device_info);
  add_raw_extension(certificate, kOidSpdmExtension, std::as_bytes(std::span(kSpdmExtension)));
  for (const auto& [id, contents] : extras.extensions)
    add_raw_extension(certificate, id.c_str(), contents);
}

struct Issuer {
  const PrivateKey& key;
  X509* certificate;  ///< null: it signs itself
};

Certificate issue(Role role, const PkiSpec& spec, std::string_view name, const PrivateKey& subject,
                  Issuer issuer, const LeafExtras& extras = {}) {
  detail::direct_openssl_draws();
  const detail::Handle<X509> made(X509_new());
  X509* const x = made.get();
  constexpr long kVersion3 = 2;  // as encoded
  TEEIO_CHECK(x != nullptr && X509_set_version(x, kVersion3) == 1 &&
                  X509_set_pubkey(x, subject.handle()) == 1 &&
                  ASN1_TIME_set_string_X509(X509_getm_notBefore(x), "20200101000000Z") == 1 &&
                  ASN1_TIME_set_string_X509(X509_getm_notAfter(x), extras.not_after.c_str()) == 1,
              kIdentityFails);
  set_serial(x);
  set_name(X509_get_subject_name(x), name);
  X509* const by = issuer.certificate != nullptr ? issuer.certificate : x;
  TEEIO_CHECK(X509_set_issuer_name(x, X509_get_subject_name(by)) == 1, kIdentityFails);
  add_extensions(x, by, role, extras);
  const bool bare = signs_without_digest(spec.type);
  TEEIO_CHECK(X509_sign(x, issuer.key.handle(), bare ? nullptr : detail::md(spec.hash)) > 0,
              kIdentityFails);
  Bytes der(static_cast<std::size_t>(std::max(0, i2d_X509(x, nullptr))));
  unsigned char* at = detail::out_of(der);
  (void)i2d_X509(x, &at);
  auto parsed = Certificate::parse(der);
  TEEIO_CHECK(parsed.has_value(), "a certificate of ours cannot be read");
  return *std::move(parsed);
}

}  // namespace

Result<Identity> identity_from_pem(std::string_view chain, std::string_view key) {
  TEEIO_ASSIGN(CertificateChain certificates, CertificateChain::from_pem(chain));
  TEEIO_ASSIGN(PrivateKey leaf_key, PrivateKey::from_pem(key));
  if (leaf_key.public_key() != certificates.leaf().public_key())
    return fail(Errno::kInval, "the private key is not the last certificate's");
  return Identity{std::move(certificates), std::move(leaf_key)};
}

Result<Pki> make_pki(const PkiSpec& spec) { return make_pki(spec, LeafExtras()); }

Result<Pki> make_pki(const PkiSpec& spec, const LeafExtras& extras) {
  if (spec.name.empty() || spec.name.size() > kMaxName)
    return fail(Errno::kInval, "a certificate's name has 1 to 64 bytes");
  if (!available(spec.type))
    return fail(Errno::kOpNotSupp, "this OpenSSL has no such keys: 3.5 or later is needed");
  PrivateKey root_key = PrivateKey::generate(spec.type);
  PrivateKey intermediate_key = PrivateKey::generate(spec.type);
  PrivateKey device_key = PrivateKey::generate(spec.type);
  const Certificate root = issue(Role::kRoot, spec, "teeio root", root_key, {root_key, nullptr});
  const Certificate intermediate = issue(Role::kIntermediate, spec, "teeio intermediate",
                                         intermediate_key, {root_key, root.handle().get()});
  const Certificate device = issue(Role::kDevice, spec, spec.name, device_key,
                                   {intermediate_key, intermediate.handle().get()}, extras);
  return Pki{std::move(root_key), std::move(intermediate_key),
             Identity{CertificateChain::of({root, intermediate, device}), std::move(device_key)}};
}

Result<Identity> make_sibling(const Pki& pki, const PkiSpec& spec, const LeafExtras& extras) {
  return make_sibling(pki, spec, extras, PrivateKey::generate(spec.type));
}

Result<Identity> make_sibling(const Pki& pki, const PkiSpec& spec, const LeafExtras& extras,
                              PrivateKey key) {
  if (spec.name.empty() || spec.name.size() > kMaxName)
    return fail(Errno::kInval, "a certificate's name has 1 to 64 bytes");
  const auto above = pki.device.chain.certificates().first(2);
  const Certificate leaf = issue(Role::kDevice, spec, spec.name, key,
                                 {pki.intermediate_key, above[1].handle().get()}, extras);
  return Identity{CertificateChain::of({above[0], above[1], leaf}), std::move(key)};
}

namespace {

Pki new_device_identity(std::uint64_t seed, KeyType type) {
  const SeededRandom seeded(seed);
  auto made = make_pki({.type = type, .hash = fitting_hash(type), .name = "teeio device"});
  TEEIO_CHECK(made.has_value(), "a device identity cannot be made");
  return *std::move(made);
}

}  // namespace

Pki make_device_identity(std::uint64_t seed, KeyType type) {
  if (!schedule::is_explored() || !detail::keeps_objects()) return new_device_identity(seed, type);
  static std::map<std::pair<std::uint64_t, KeyType>, Pki> kept;
  auto at = kept.find({seed, type});
  if (at == kept.end()) {
    if (kept.size() == kMostIdentities) kept.clear();
    at = kept.emplace(std::pair(seed, type), new_device_identity(seed, type)).first;
  }
  return at->second;
}

HashAlgorithm fitting_hash(KeyType type) {
  switch (type) {
    case KeyType::kP256:
    case KeyType::kRsa2048:
    case KeyType::kEd25519:
    case KeyType::kMlDsa44:
    case KeyType::kSlhDsaSha2x128s:
    case KeyType::kSlhDsaShake128s:
    case KeyType::kSlhDsaSha2x128f:
    case KeyType::kSlhDsaShake128f:
      return HashAlgorithm::kSha256;
    case KeyType::kP384:
    case KeyType::kRsa3072:
    case KeyType::kRsa4096:
    case KeyType::kMlDsa65:
    case KeyType::kSlhDsaSha2x192s:
    case KeyType::kSlhDsaShake192s:
    case KeyType::kSlhDsaSha2x192f:
    case KeyType::kSlhDsaShake192f:
      return HashAlgorithm::kSha384;
    case KeyType::kP521:
    case KeyType::kMlDsa87:
    case KeyType::kSlhDsaSha2x256s:
    case KeyType::kSlhDsaShake256s:
    case KeyType::kSlhDsaSha2x256f:
    case KeyType::kSlhDsaShake256f:
      return HashAlgorithm::kSha512;
  }
  return HashAlgorithm::kSha384;
}

}  // namespace teeio::crypto
