#include "crypto/kem.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <array>

#include "base/check.h"
#include "crypto/openssl.h"
#include "crypto/random.h"

namespace teeio::crypto {
namespace {

struct Row {
  const char* name;
  std::size_t key;
  std::size_t ciphertext;
};
// By KemAlgorithm.
constexpr std::array<Row, 3> kRows = {
    {{"ML-KEM-512", 800, 768}, {"ML-KEM-768", 1184, 1088}, {"ML-KEM-1024", 1568, 1568}}};
constexpr std::size_t kSecretSize = 32;
const Row& row(KemAlgorithm algorithm) { return kRows.at(static_cast<std::size_t>(algorithm)); }

struct FreeKem {
  void operator()(EVP_KEM* p) const { EVP_KEM_free(p); }
};

}  // namespace

bool available(KemAlgorithm algorithm) {
  const std::unique_ptr<EVP_KEM, FreeKem> found(
      EVP_KEM_fetch(nullptr, row(algorithm).name, nullptr));
  ERR_clear_error();
  return found != nullptr;
}

std::size_t encapsulation_key_size(KemAlgorithm algorithm) { return row(algorithm).key; }
std::size_t ciphertext_size(KemAlgorithm algorithm) { return row(algorithm).ciphertext; }

DecapsulationKey DecapsulationKey::generate(KemAlgorithm algorithm) {
  detail::direct_openssl_draws();
  detail::Handle<EVP_PKEY> key(EVP_PKEY_Q_keygen(nullptr, nullptr, row(algorithm).name));
  TEEIO_CHECK(key != nullptr, "OpenSSL generates no ML-KEM key");
  unsigned char* encoded = nullptr;
  const std::size_t size = EVP_PKEY_get1_encoded_public_key(key.get(), &encoded);
  TEEIO_CHECK(size == row(algorithm).key, "an encapsulation key has another size");
  const auto bytes = std::as_bytes(std::span(encoded, size));
  Bytes out(bytes.begin(), bytes.end());
  OPENSSL_free(encoded);
  return {algorithm, std::move(key), std::move(out)};
}

Result<Secret> DecapsulationKey::decapsulate(ByteView ciphertext) const {
  if (ciphertext.size() != row(algorithm_).ciphertext)
    return fail(Errno::kInval, "the ciphertext has another size than its algorithm's");
  const detail::Handle<EVP_PKEY_CTX> context(
      EVP_PKEY_CTX_new_from_pkey(nullptr, key_.get(), nullptr));
  Secret secret(kSecretSize);
  std::size_t size = kSecretSize;
  TEEIO_CHECK(context != nullptr && EVP_PKEY_decapsulate_init(context.get(), nullptr) == 1,
              "OpenSSL decapsulates nothing");
  if (EVP_PKEY_decapsulate(context.get(), detail::out_of(secret.writable()), &size,
                           detail::data_of(ciphertext), ciphertext.size()) != 1 ||
      size != kSecretSize)
    return fail(Errno::kInval, "the ciphertext cannot be decapsulated");
  return secret;
}

Result<Encapsulated> encapsulate(KemAlgorithm algorithm, ByteView encapsulation_key) {
  detail::direct_openssl_draws();
  if (encapsulation_key.size() != row(algorithm).key)
    return fail(Errno::kInval, "the encapsulation key has another size than its algorithm's");
  const detail::Handle<EVP_PKEY> key(
      EVP_PKEY_new_raw_public_key_ex(nullptr, row(algorithm).name, nullptr,
                                     detail::data_of(encapsulation_key), encapsulation_key.size()));
  if (key == nullptr) return fail(Errno::kInval, "the encapsulation key is none");
  const detail::Handle<EVP_PKEY_CTX> context(
      EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  Encapsulated out{Bytes(row(algorithm).ciphertext), Secret(kSecretSize)};
  std::size_t size = out.ciphertext.size();
  std::size_t secret_size = kSecretSize;
  TEEIO_CHECK(context != nullptr && EVP_PKEY_encapsulate_init(context.get(), nullptr) == 1 &&
                  EVP_PKEY_encapsulate(context.get(), detail::out_of(out.ciphertext), &size,
                                       detail::out_of(out.secret.writable()), &secret_size) == 1 &&
                  size == out.ciphertext.size() && secret_size == kSecretSize,
              "OpenSSL encapsulates nothing");
  return out;
}

}  // namespace teeio::crypto
