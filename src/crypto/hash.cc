#include "crypto/hash.h"

#include "base/check.h"
#include "crypto/hashes_of_run.h"
#include "crypto/openssl.h"

namespace teeio::crypto {
namespace {

constexpr std::string_view kHashFails = "OpenSSL cannot hash";

EVP_MD_CTX* begin(HashAlgorithm algorithm) {
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  TEEIO_CHECK(
      context != nullptr && EVP_DigestInit_ex2(context, detail::md(algorithm), nullptr) == 1,
      kHashFails);
  detail::hash_begun(context);
  return context;
}

}  // namespace

const EVP_MD* detail::md(HashAlgorithm algorithm) {
  // Kept for the process: OpenSSL's own clean-up at exit is earlier than ours.
  static const std::array<const EVP_MD*, kHashAlgorithms> fetched = [] {
    std::array<const EVP_MD*, kHashAlgorithms> all{};
    const std::array names = {"SHA2-256", "SHA2-384", "SHA2-512",
                              "SHA3-256", "SHA3-384", "SHA3-512"};
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i] = EVP_MD_fetch(nullptr, names[i], nullptr);
      TEEIO_CHECK(all[i] != nullptr, "OpenSSL lacks a hash");
    }
    return all;
  }();
  return fetched[static_cast<std::size_t>(algorithm)];
}

Digest hash(HashAlgorithm algorithm, ByteView data) {
  Digest out(hash_size(algorithm));
  TEEIO_CHECK(EVP_Digest(data.data(), data.size(), detail::out_of(out.writable()), nullptr,
                         detail::md(algorithm), nullptr) == 1,
              kHashFails);
  return out;
}

Digest hash(HashAlgorithm algorithm, std::initializer_list<ByteView> parts) {
  const detail::Handle<EVP_MD_CTX> context(begin(algorithm));
  for (const ByteView part : parts)
    TEEIO_CHECK(EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1, kHashFails);
  Digest out(hash_size(algorithm));
  TEEIO_CHECK(EVP_DigestFinal_ex(context.get(), detail::out_of(out.writable()), nullptr) == 1,
              kHashFails);
  return out;
}

RunningHash::RunningHash(HashAlgorithm algorithm)
    : algorithm_(algorithm), context_(begin(algorithm)) {}

RunningHash::RunningHash(const RunningHash& other)
    : algorithm_(other.algorithm_), context_(EVP_MD_CTX_new()) {
  TEEIO_CHECK(context_ != nullptr && EVP_MD_CTX_copy_ex(context_.get(), other.context_.get()) == 1,
              kHashFails);
  detail::hash_begun(context_.get());
}

RunningHash& RunningHash::operator=(const RunningHash& other) {
  if (this != &other) *this = RunningHash(other);
  return *this;
}

RunningHash& RunningHash::update(ByteView data) {
  TEEIO_CHECK(EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1, kHashFails);
  return *this;
}

Digest RunningHash::digest() const {
  const RunningHash copy(*this);
  Digest out(hash_size(algorithm_));
  TEEIO_CHECK(EVP_DigestFinal_ex(copy.context_.get(), detail::out_of(out.writable()), nullptr) == 1,
              kHashFails);
  return out;
}

}  // namespace teeio::crypto
