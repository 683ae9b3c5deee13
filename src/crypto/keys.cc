#include "crypto/keys.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/check.h"
#include "crypto/ec_public_key.h"
#include "crypto/ecdsa_form.h"
#include "crypto/kept_results.h"
#include "crypto/key_text.h"
#include "crypto/openssl.h"
#include "crypto/random.h"

namespace teeio::crypto {
namespace {

using Key = std::shared_ptr<evp_pkey_st>;

Key own(EVP_PKEY* key) { return Key(key, detail::Free()); }

Result<KeyType> rsa_type(EVP_PKEY* key) {
  switch (EVP_PKEY_get_bits(key)) {
    case 2048:
      return KeyType::kRsa2048;
    case 3072:
      return KeyType::kRsa3072;
    case 4096:
      return KeyType::kRsa4096;
    default:
      return fail(Errno::kOpNotSupp, "an RSA key has a size that SPDM does not use");
  }
}

Result<KeyType> ec_type(EVP_PKEY* key) {
  std::array<char, 32> name{};
  if (EVP_PKEY_get_group_name(key, name.data(), name.size(), nullptr) != 1)
    return fail(Errno::kOpNotSupp, "an elliptic curve has no name");
  const std::string_view curve(name.data());
  if (curve == "prime256v1" || curve == "P-256") return KeyType::kP256;
  if (curve == "secp384r1" || curve == "P-384") return KeyType::kP384;
  if (curve == "secp521r1" || curve == "P-521") return KeyType::kP521;
  return fail(Errno::kOpNotSupp, "an elliptic curve is none of SPDM's");
}

/// OpenSSL 3.0 has no numbers for these: they go by name.
Result<KeyType> post_quantum_type(EVP_PKEY* key) {
  for (auto type = static_cast<unsigned>(KeyType::kMlDsa44);
       type <= static_cast<unsigned>(KeyType::kSlhDsaShake256f); ++type)
    if (EVP_PKEY_is_a(key, post_quantum_name(static_cast<KeyType>(type))) == 1)
      return static_cast<KeyType>(type);
  return fail(Errno::kOpNotSupp, "a key is of a type that SPDM does not use here");
}

Result<KeyType> type_of(EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
      return rsa_type(key);
    case EVP_PKEY_EC:
      return ec_type(key);
    case EVP_PKEY_ED25519:
      return KeyType::kEd25519;
    default:
      return post_quantum_type(key);
  }
}

enum class Scheme : std::uint8_t { kRsaPkcs1, kRsaPss, kEcdsa, kEdDsa, kPostQuantum };

Scheme scheme_of(SignatureAlgorithm algorithm) {
  using enum Scheme;
  // By SignatureAlgorithm; what follows is post-quantum.
  static constexpr std::array<Scheme, 10> kSchemes = {
      kRsaPkcs1, kRsaPss, kRsaPkcs1, kRsaPss, kEcdsa, kRsaPkcs1, kRsaPss, kEcdsa, kEcdsa, kEdDsa};
  return is_post_quantum(algorithm) ? kPostQuantum
                                    : kSchemes.at(static_cast<std::size_t>(algorithm));
}

/// RSA's padding; ECDSA needs nothing, since it takes the digest as a number.
bool set_padding(EVP_PKEY_CTX* context, Scheme scheme, HashAlgorithm hash) {
  if (scheme == Scheme::kEcdsa) return true;
  const bool pss = scheme == Scheme::kRsaPss;
  if (EVP_PKEY_CTX_set_rsa_padding(context, pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) != 1 ||
      EVP_PKEY_CTX_set_signature_md(context, detail::md(hash)) != 1)
    return false;
  // DSP0274, "Signing algorithms": the salt is as long as the digest.
  return !pss || EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

constexpr std::string_view kSignFails = "OpenSSL cannot sign";

Bytes sign_with_draws(EVP_PKEY* key, SignatureAlgorithm algorithm, HashAlgorithm hash,
                      ByteView digest) {
  const detail::Handle<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  const Scheme scheme = scheme_of(algorithm);
  std::size_t size = static_cast<std::size_t>(EVP_PKEY_get_size(key));  // ECDSA: of the DER form
  Bytes out(size);
  TEEIO_CHECK(context != nullptr && EVP_PKEY_sign_init(context.get()) == 1 &&
                  set_padding(context.get(), scheme, hash) &&
                  EVP_PKEY_sign(context.get(), detail::out_of(out), &size, detail::data_of(digest),
                                digest.size()) == 1,
              kSignFails);
  out.resize(size);
  return scheme == Scheme::kEcdsa ? detail::raw_signature(out, signature_size(algorithm)) : out;
}

/// RSA keys draw for their blinding at the first use and then now and then. Where a run
/// is to come back, an operation takes one number from the run's sequence, whatever the
/// key has done before; ECDSA's as well where its result is kept for that number.
Bytes sign_digest(EVP_PKEY* key, SignatureAlgorithm algorithm, HashAlgorithm hash,
                  ByteView digest) {
  detail::direct_openssl_draws();
  const bool curve = scheme_of(algorithm) == Scheme::kEcdsa;
  if (random_source() == RandomSource::kSystem || (curve && !detail::keeps_results()))
    return sign_with_draws(key, algorithm, hash, digest);
  std::uint64_t seed = 0;
  fill_random(writable_bytes_of(seed));
  const auto sign = [&] {
    const SeededRandom draws(seed);
    return sign_with_draws(key, algorithm, hash, digest);
  };
  if (!curve) return sign();
  const Bytes whose = detail::point_of(key);
  return detail::kept_or(
      {detail::operation("sign"), bytes_of(seed), bytes_of(algorithm), whose, digest}, sign);
}

/// OSSL_SIGNATURE_PARAM_CONTEXT_STRING, which OpenSSL's headers have from 3.2 on.
constexpr const char* kContextString = "context-string";

/// The parameters of a signature with a context string; without one, of one without.
std::array<OSSL_PARAM, 2> context_of(std::string_view context) {
  if (context.empty()) return {OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end()};
  // OpenSSL only reads it.
  return {OSSL_PARAM_construct_octet_string(kContextString, const_cast<char*>(context.data()),
                                            context.size()),
          OSSL_PARAM_construct_end()};
}

/// EdDSA, ML-DSA and SLH-DSA take messages as they are.
Bytes sign_message(EVP_PKEY* key, ByteView message, std::string_view context_string = {}) {
  detail::direct_openssl_draws();
  const detail::Handle<EVP_MD_CTX> context(EVP_MD_CTX_new());
  const auto parameters = context_of(context_string);
  std::size_t size = static_cast<std::size_t>(EVP_PKEY_get_size(key));
  Bytes out(size);
  TEEIO_CHECK(context != nullptr &&
                  EVP_DigestSignInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, key,
                                        parameters.data()) == 1 &&
                  EVP_DigestSign(context.get(), detail::out_of(out), &size,
                                 detail::data_of(message), message.size()) == 1,
              kSignFails);
  return out;
}

Result<void> verdict(bool genuine) {
  if (!genuine) return fail(Errno::kAcces, "the signature is not by this key over these bytes");
  return {};
}

bool is_genuine(EVP_PKEY* key, SignatureAlgorithm algorithm, HashAlgorithm hash, ByteView digest,
                ByteView signature) {
  const detail::Handle<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  const Scheme scheme = scheme_of(algorithm);
  TEEIO_CHECK(context != nullptr && EVP_PKEY_verify_init(context.get()) == 1 &&
                  set_padding(context.get(), scheme, hash),
              "OpenSSL cannot verify");
  Bytes der;
  if (scheme == Scheme::kEcdsa) {
    der = detail::der_signature(signature);
    signature = der;
  }
  return EVP_PKEY_verify(context.get(), detail::data_of(signature), signature.size(),
                         detail::data_of(digest), digest.size()) == 1;
}

Result<void> verify_digest(EVP_PKEY* key, SignatureAlgorithm algorithm, HashAlgorithm hash,
                           ByteView digest, ByteView signature) {
  const auto verify = [&] { return is_genuine(key, algorithm, hash, digest, signature); };
  if (scheme_of(algorithm) != Scheme::kEcdsa || !detail::keeps_results()) return verdict(verify());
  const Bytes whose = detail::point_of(key);
  const Bytes answer =
      detail::kept_or({detail::operation("verify"), bytes_of(algorithm), whose, signature, digest},
                      [&] { return Bytes(1, std::byte{verify()}); });
  return verdict(answer.front() != std::byte{0});
}

Result<void> verify_message(EVP_PKEY* key, ByteView message, ByteView signature,
                            std::string_view context_string = {}) {
  const detail::Handle<EVP_MD_CTX> context(EVP_MD_CTX_new());
  const auto parameters = context_of(context_string);
  TEEIO_CHECK(
      context != nullptr && EVP_DigestVerifyInit_ex(context.get(), nullptr, nullptr, nullptr,
                                                    nullptr, key, parameters.data()) == 1,
      "OpenSSL cannot verify");
  return verdict(EVP_DigestVerify(context.get(), detail::data_of(signature), signature.size(),
                                  detail::data_of(message), message.size()) == 1);
}

Result<void> check_type(KeyType have, SignatureAlgorithm wanted) {
  if (have != key_type(wanted))
    return fail(Errno::kInval, "the key is of another type than the signature algorithm");
  return {};
}

bool takes_messages(SignatureAlgorithm algorithm) {
  const Scheme scheme = scheme_of(algorithm);
  return scheme == Scheme::kEdDsa || scheme == Scheme::kPostQuantum;
}

/// ML-DSA and SLH-DSA are given SPDM's context a second time, as their own. Source:
/// DSP0274 1.4, "Signature algorithm references"; libspdm's libspdm_crypt_pqc_asym.c,
/// libspdm_pqc_asym_sign().
std::string_view context_string(const SpdmSigning& what) {
  return is_post_quantum(what.algorithm) ? signing_context(what.purpose) : std::string_view();
}

/// What an SPDM signature is computed over: a digest, or a message where the algorithm
/// takes one.
///
/// Up to 1.1 the transcript is signed by itself. For EdDSA it then stands by its
/// hash: a guess, as libspdm does it when it keeps running hashes.
Bytes spdm_message(const SpdmSigning& what, const Digest& transcript) {
  constexpr std::uint8_t kFirstWithPrefix = 0x12;
  if (what.version < kFirstWithPrefix) {
    const ByteView bytes = transcript;
    return {bytes.begin(), bytes.end()};
  }
  Bytes combined = combined_message(what, transcript);
  if (takes_messages(what.algorithm)) return combined;
  const Digest digest = hash(what.hash, combined);
  return {digest.view().begin(), digest.view().end()};
}

struct FreeSignature {
  void operator()(EVP_SIGNATURE* p) const { EVP_SIGNATURE_free(p); }
};
struct FreeBio {
  void operator()(BIO* p) const { BIO_free(p); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;

/// Never asks at the terminal: an encrypted key is an error.
int no_passphrase(char*, int, int, void*) { return -1; }

EVP_PKEY* make_key(KeyType type) {
  constexpr std::array kRsaBits = {2048U, 3072U, 4096U};
  constexpr std::array kCurves = {"P-256", "P-384", "P-521"};
  const auto index = static_cast<std::size_t>(type);
  if (type <= KeyType::kRsa4096) return EVP_RSA_gen(kRsaBits.at(index));
  if (type <= KeyType::kP521) return EVP_EC_gen(kCurves.at(index - kRsaBits.size()));
  return EVP_PKEY_Q_keygen(nullptr, nullptr,
                           type == KeyType::kEd25519 ? "ED25519" : post_quantum_name(type));
}

}  // namespace

Result<PublicKey> PublicKey::from_handle(std::shared_ptr<evp_pkey_st> key) {
  TEEIO_ASSIGN(const KeyType type, type_of(key.get()));
  return PublicKey(std::move(key), type);
}

Result<PublicKey> PublicKey::from_der(ByteView der) {
  const unsigned char* at = detail::data_of(der);
  const Key key = own(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
  if (key == nullptr || at != detail::data_of(der) + der.size())
    return fail(Errno::kInval, "no SubjectPublicKeyInfo");
  return from_handle(key);
}

Result<void> PublicKey::verify(SignatureAlgorithm algorithm, HashAlgorithm hash, ByteView message,
                               ByteView signature) const {
  TEEIO_TRY(check_type(type_, algorithm));
  if (signature.size() != signature_size(algorithm))
    return fail(Errno::kInval, "the signature has another size than its algorithm's");
  if (takes_messages(algorithm)) return verify_message(key_.get(), message, signature);
  return verify_digest(key_.get(), algorithm, hash, crypto::hash(hash, message), signature);
}

Result<void> PublicKey::verify_spdm(const SpdmSigning& what, const Digest& transcript,
                                    ByteView signature) const {
  TEEIO_TRY(check_type(type_, what.algorithm));
  if (signature.size() != signature_size(what.algorithm))
    return fail(Errno::kInval, "the signature has another size than its algorithm's");
  const Bytes message = spdm_message(what, transcript);
  if (takes_messages(what.algorithm))
    return verify_message(key_.get(), message, signature, context_string(what));
  return verify_digest(key_.get(), what.algorithm, what.hash, message, signature);
}

bool PublicKey::operator==(const PublicKey& other) const {
  const bool same = EVP_PKEY_eq(key_.get(), other.key_.get()) == 1;
  ERR_clear_error();
  return same;
}

Bytes PublicKey::der() const {
  Bytes out(static_cast<std::size_t>(std::max(0, i2d_PUBKEY(key_.get(), nullptr))));
  unsigned char* at = detail::out_of(out);
  TEEIO_CHECK(!out.empty() && i2d_PUBKEY(key_.get(), &at) > 0, "a public key has no DER form");
  return out;
}

Bytes openssl_signature(SignatureAlgorithm algorithm, ByteView signature) {
  if (scheme_of(algorithm) == Scheme::kEcdsa) return detail::der_signature(signature);
  return {signature.begin(), signature.end()};
}

bool available(KeyType type) {
  if (type < KeyType::kMlDsa44) return true;
  // Whether it is there does not change while a program runs; asking again is harmless.
  const std::unique_ptr<EVP_SIGNATURE, FreeSignature> found(
      EVP_SIGNATURE_fetch(nullptr, post_quantum_name(type), nullptr));
  ERR_clear_error();
  return found != nullptr;
}

std::string_view openssl_version() { return OpenSSL_version(OPENSSL_VERSION_STRING); }

PrivateKey PrivateKey::generate(KeyType type) {
  detail::direct_openssl_draws();
  EVP_PKEY* const key = make_key(type);
  TEEIO_CHECK(key != nullptr, "OpenSSL generates no key");
  auto made = PublicKey::from_handle(own(key));
  TEEIO_CHECK(made.has_value(), "OpenSSL generated a key of another type");
  return PrivateKey(*std::move(made));
}

Result<PrivateKey> PrivateKey::from_pem(std::string_view text) {
  const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  const Key key = own(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr) return fail(Errno::kInval, "no unencrypted private key in the PEM text");
  TEEIO_ASSIGN(PublicKey both, PublicKey::from_handle(key));
  return PrivateKey(std::move(both));
}

Result<PrivateKey> PrivateKey::from_der(ByteView der) {
  const unsigned char* at = detail::data_of(der);
  const Key key = own(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.size())));
  if (key == nullptr) return fail(Errno::kInval, "no private key in the DER bytes");
  TEEIO_ASSIGN(PublicKey both, PublicKey::from_handle(key));
  return PrivateKey(std::move(both));
}

Result<Bytes> PrivateKey::sign(SignatureAlgorithm algorithm, HashAlgorithm hash,
                               ByteView message) const {
  TEEIO_TRY(check_type(type(), algorithm));
  if (takes_messages(algorithm)) return sign_message(handle(), message);
  return sign_digest(handle(), algorithm, hash, crypto::hash(hash, message));
}

Result<Bytes> PrivateKey::sign_spdm(const SpdmSigning& what, const Digest& transcript) const {
  TEEIO_TRY(check_type(type(), what.algorithm));
  const Bytes message = spdm_message(what, transcript);
  if (takes_messages(what.algorithm)) return sign_message(handle(), message, context_string(what));
  return sign_digest(handle(), what.algorithm, what.hash, message);
}

Secret PrivateKey::pem() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  TEEIO_CHECK(bio != nullptr && PEM_write_bio_PKCS8PrivateKey(bio.get(), handle(), nullptr, nullptr,
                                                              0, nullptr, nullptr) == 1,
              "a private key has no PEM form");
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return Secret(std::as_bytes(std::span(text, static_cast<std::size_t>(size))));
}

Secret PrivateKey::der() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  TEEIO_CHECK(bio != nullptr && i2d_PKCS8PrivateKey_bio(bio.get(), handle(), nullptr, nullptr, 0,
                                                        nullptr, nullptr) == 1,
              "a private key has no DER form");
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return Secret(std::as_bytes(std::span(bytes, static_cast<std::size_t>(size))));
}

}  // namespace teeio::crypto
