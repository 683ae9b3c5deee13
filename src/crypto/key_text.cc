#include "crypto/key_text.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>

#include "base/check.h"
#include "crypto/ec_public_key.h"

// Public keys in other forms than SubjectPublicKeyInfo in DER.

namespace teeio::crypto {
namespace {

struct FreeTextBio {
  void operator()(BIO* p) const { BIO_free(p); }
};
using TextBio = std::unique_ptr<BIO, FreeTextBio>;

}  // namespace

Result<PublicKey> PublicKey::from_pem(std::string_view text) {
  const TextBio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  const std::shared_ptr<evp_pkey_st> key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr),
                                         detail::Free());
  ERR_clear_error();
  if (key == nullptr) return fail(Errno::kInval, "no public key in the PEM text");
  return from_handle(key);
}

Result<PublicKey> PublicKey::from_point(KeyType type, ByteView point) {
  constexpr std::array kCurves = {KeyExchangeGroup::kP256, KeyExchangeGroup::kP384,
                                  KeyExchangeGroup::kP521};
  if (type < KeyType::kP256 || type > KeyType::kP521)
    return fail(Errno::kInval, "a point makes a key of a NIST curve alone");
  const KeyExchangeGroup curve =
      kCurves.at(static_cast<std::size_t>(type) - static_cast<std::size_t>(KeyType::kP256));
  if (point.size() != exchange_data_size(curve))
    return fail(Errno::kInval, "a point has another size than its curve's");
  auto key = detail::ec_public_key(curve, point);
  ERR_clear_error();
  if (key == nullptr) return fail(Errno::kInval, "a point is not on its curve");
  return PublicKey(std::move(key), type);
}

std::string public_key_pem(const PublicKey& key) {
  const TextBio bio(BIO_new(BIO_s_mem()));
  TEEIO_CHECK(bio != nullptr && PEM_write_bio_PUBKEY(bio.get(), key.handle()) == 1,
              "a public key has no PEM form");
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace teeio::crypto
