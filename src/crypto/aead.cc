#include "crypto/aead.h"

#include "base/check.h"
#include "crypto/openssl.h"
#include "crypto/secret.h"

namespace teeio::crypto {
namespace {

constexpr std::string_view kFails = "OpenSSL cannot encrypt";
/// EVP counts bytes in int. Records are at most 64 KiB, so nothing comes near.
constexpr std::size_t kMaxText = 0x7fff'ffff;

const EVP_CIPHER* cipher(AeadAlgorithm algorithm) {
  static const std::array<const EVP_CIPHER*, 3> fetched = [] {
    std::array<const EVP_CIPHER*, 3> all{};
    const std::array names = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"};
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i] = EVP_CIPHER_fetch(nullptr, names[i], nullptr);
      TEEIO_CHECK(all[i] != nullptr, "OpenSSL lacks a cipher");
    }
    return all;
  }();
  return fetched[static_cast<std::size_t>(algorithm)];
}

}  // namespace

Aead::Aead(AeadAlgorithm algorithm, Direction direction, ByteView key)
    : direction_(direction), context_(EVP_CIPHER_CTX_new()) {
  TEEIO_CHECK(key.size() == aead_key_size(algorithm), "an AEAD key has another size");
  TEEIO_CHECK(context_ != nullptr &&
                  EVP_CipherInit_ex2(context_.get(), cipher(algorithm), detail::data_of(key),
                                     nullptr, direction == Direction::kSeal ? 1 : 0, nullptr) == 1,
              kFails);
}

void Aead::seal(Nonce nonce, ByteView associated, std::span<std::byte> text, Tag tag) {
  TEEIO_CHECK(direction_ == Direction::kSeal, "a key that opens is asked to seal");
  TEEIO_CHECK(text.size() <= kMaxText && associated.size() <= kMaxText, "a record is too large");
  EVP_CIPHER_CTX* const context = context_.get();
  unsigned char* const bytes = detail::out_of(text);
  int count = 0;
  // The key stays expanded in the context: only the nonce is set.
  bool done = EVP_EncryptInit_ex2(context, nullptr, nullptr, detail::data_of(nonce), nullptr) == 1;
  if (!associated.empty())
    done = done && EVP_EncryptUpdate(context, nullptr, &count, detail::data_of(associated),
                                     static_cast<int>(associated.size())) == 1;
  if (!text.empty())
    done = done &&
           EVP_EncryptUpdate(context, bytes, &count, bytes, static_cast<int>(text.size())) == 1;
  std::array<unsigned char, kAeadTagSize> rest{};  // a stream: nothing is left for the end
  done = done && EVP_EncryptFinal_ex(context, rest.data(), &count) == 1 &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(kAeadTagSize),
                             tag.data()) == 1;
  TEEIO_CHECK(done, kFails);
}

Result<void> Aead::open(Nonce nonce, ByteView associated, std::span<std::byte> text, ConstTag tag) {
  return open(nonce, associated, ByteView(text), text, tag);
}

Result<void> Aead::open(Nonce nonce, ByteView associated, ByteView cipher_text,
                        std::span<std::byte> text, ConstTag tag) {
  TEEIO_CHECK(direction_ == Direction::kOpen, "a key that seals is asked to open");
  TEEIO_CHECK(text.size() == cipher_text.size(), "plain and cipher text differ in size");
  if (text.size() > kMaxText || associated.size() > kMaxText)
    return fail(Errno::kTooBig, "a record is too large");
  EVP_CIPHER_CTX* const context = context_.get();
  int count = 0;
  bool done = EVP_DecryptInit_ex2(context, nullptr, nullptr, detail::data_of(nonce), nullptr) == 1;
  if (!associated.empty())
    done = done && EVP_DecryptUpdate(context, nullptr, &count, detail::data_of(associated),
                                     static_cast<int>(associated.size())) == 1;
  if (!text.empty())
    done =
        done && EVP_DecryptUpdate(context, detail::out_of(text), &count,
                                  detail::data_of(cipher_text), static_cast<int>(text.size())) == 1;
  TEEIO_CHECK(done, "OpenSSL cannot decrypt");
  std::array<unsigned char, kAeadTagSize> rest{};
  const bool genuine =
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(kAeadTagSize),
                          const_cast<std::byte*>(tag.data())) == 1 &&
      EVP_DecryptFinal_ex(context, rest.data(), &count) == 1;
  if (genuine) return {};
  wipe(text);
  return fail(Errno::kAcces, "the authentication tag is wrong");
}

}  // namespace teeio::crypto
