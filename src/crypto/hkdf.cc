#include "crypto/hkdf.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <cstring>

#include "base/check.h"
#include "crypto/openssl.h"

namespace teeio::crypto {
namespace {

constexpr std::string_view kHkdfFails = "OpenSSL cannot compute an HMAC";

/// A context that knows its hash and no key, to be copied: naming the hash anew
/// would fetch it anew.
const EVP_MAC_CTX* unkeyed(HashAlgorithm algorithm) {
  static const std::array<const EVP_MAC_CTX*, kHashAlgorithms> contexts = [] {
    std::array<const EVP_MAC_CTX*, kHashAlgorithms> all{};
    EVP_MAC* const mac = EVP_MAC_fetch(nullptr, OSSL_MAC_NAME_HMAC, nullptr);
    TEEIO_CHECK(mac != nullptr, "OpenSSL lacks HMAC");
    for (std::size_t i = 0; i < all.size(); ++i) {
      EVP_MAC_CTX* const context = EVP_MAC_CTX_new(mac);
      const char* const name = EVP_MD_get0_name(detail::md(static_cast<HashAlgorithm>(i)));
      const std::array params = {
          OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(name), 0),
          OSSL_PARAM_construct_end()};
      TEEIO_CHECK(context != nullptr && EVP_MAC_CTX_set_params(context, params.data()) == 1,
                  kHkdfFails);
      all[i] = context;
    }
    return all;
  }();
  return contexts[static_cast<std::size_t>(algorithm)];
}

/// HMAC under one key, for several messages.
class Hmac {
 public:
  Hmac(HashAlgorithm algorithm, ByteView key)
      : size_(hash_size(algorithm)), context_(EVP_MAC_CTX_dup(unkeyed(algorithm))) {
    // A null key would mean "the key from before"; an empty one is a key.
    static constexpr unsigned char kNone = 0;
    const unsigned char* const bytes = key.empty() ? &kNone : detail::data_of(key);
    TEEIO_CHECK(
        context_ != nullptr && EVP_MAC_init(context_.get(), bytes, key.size(), nullptr) == 1,
        kHkdfFails);
  }
  void again() { TEEIO_CHECK(EVP_MAC_init(context_.get(), nullptr, 0, nullptr) == 1, kHkdfFails); }
  void update(ByteView data) {
    TEEIO_CHECK(EVP_MAC_update(context_.get(), detail::data_of(data), data.size()) == 1,
                kHkdfFails);
  }
  Digest digest() {
    Digest out(size_);
    std::size_t written = 0;
    TEEIO_CHECK(EVP_MAC_final(context_.get(), detail::out_of(out.writable()), &written, size_) == 1,
                kHkdfFails);
    return out;
  }

 private:
  const std::size_t size_;
  detail::Handle<EVP_MAC_CTX> context_;
};

}  // namespace

Digest hmac(HashAlgorithm algorithm, ByteView key, ByteView data) {
  Hmac mac(algorithm, key);
  mac.update(data);
  return mac.digest();
}

Secret hkdf_extract(HashAlgorithm algorithm, ByteView salt, ByteView key_material) {
  Digest key = hmac(algorithm, salt, key_material);  // HMAC pads an empty salt with zeros
  Secret out(key.view());
  wipe(key.writable());
  return out;
}

Secret hkdf_expand(HashAlgorithm algorithm, ByteView pseudo_random_key, ByteView info,
                   std::size_t size_bytes) {
  const std::size_t block = hash_size(algorithm);
  TEEIO_CHECK(size_bytes <= 255 * block, "HKDF-Expand gives at most 255 blocks");
  Secret out(size_bytes);
  Hmac mac(algorithm, pseudo_random_key);
  Digest previous;
  std::byte counter{0};
  for (std::size_t done = 0; done < size_bytes; done += block) {
    if (done != 0) mac.again();
    counter = static_cast<std::byte>(std::to_integer<unsigned>(counter) + 1);
    mac.update(previous);
    mac.update(info);
    mac.update(ByteView(&counter, 1));
    previous = mac.digest();
    std::memcpy(out.writable().data() + done, previous.view().data(),
                std::min(block, size_bytes - done));
  }
  wipe(previous.writable());
  return out;
}

}  // namespace teeio::crypto
