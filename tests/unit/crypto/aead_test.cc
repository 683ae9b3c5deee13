#include "crypto/aead.h"

#include <gtest/gtest.h>

#include <array>

#include "crypto/secret.h"
#include "unit/crypto/hex.h"

namespace teeio::crypto {
namespace {

using enum Aead::Direction;

struct Vector {
  const char* name;
  AeadAlgorithm algorithm;
  const char* key;
  const char* nonce;
  const char* associated;
  Bytes plain;
  const char* cipher;
  const char* tag;
};

// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 4 and 16;
// RFC 8439, 2.8.2.
std::vector<Vector> vectors() {
  const Bytes gcm =
      hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
          "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
  const ByteView sunscreen = text(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
      "future, sunscreen would be it.");
  return {
      {"AES-128-GCM", AeadAlgorithm::kAes128Gcm, "feffe9928665731c6d6a8f9467308308",
       "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2", gcm,
       "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
       "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
       "5bc94fbc3221a5db94fae95ae7121a47"},
      {"AES-256-GCM", AeadAlgorithm::kAes256Gcm,
       "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
       "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2", gcm,
       "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
       "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
       "76fc6ece0f4e1768cddf8853bb2d551b"},
      {"ChaCha20-Poly1305", AeadAlgorithm::kChaCha20Poly1305,
       "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
       "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
       Bytes(sunscreen.begin(), sunscreen.end()),
       "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
       "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
       "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
       "3ff4def08e4b7a9de576d26586cec64b6116",
       "1ae10b594f09e26a7e902ecbd0600691"},
  };
}

template <std::size_t kSize>
std::array<std::byte, kSize> fixed(std::string_view digits) {
  std::array<std::byte, kSize> out{};
  std::ranges::copy(hex(digits), out.begin());
  return out;
}

// Twice with one context: a message leaves nothing behind in it.
TEST(Aead, GivesThePublishedCipherTextsAndTagsEachTime) {
  for (const Vector& v : vectors()) {
    SCOPED_TRACE(v.name);
    Aead sealer(v.algorithm, kSeal, hex(v.key));
    Aead opener(v.algorithm, kOpen, hex(v.key));
    const auto nonce = fixed<kAeadNonceSize>(v.nonce);
    for (int again = 0; again < 2; ++again) {
      Bytes message = v.plain;
      std::array<std::byte, kAeadTagSize> tag{};
      sealer.seal(nonce, hex(v.associated), message, tag);
      EXPECT_EQ(to_hex(message), v.cipher);
      EXPECT_EQ(to_hex(tag), v.tag);
      ASSERT_TRUE(opener.open(nonce, hex(v.associated), message, tag));
      EXPECT_EQ(message, v.plain);
    }
  }
}

// Every bit counts: of the text, the associated data, the nonce and the tag.
TEST(Aead, RefusesWhateverWasChangedAndLeavesZeros) {
  for (const Vector& v : vectors()) {
    SCOPED_TRACE(v.name);
    Aead opener(v.algorithm, kOpen, hex(v.key));
    for (int part = 0; part < 4; ++part) {
      Bytes message = hex(v.cipher);
      Bytes associated = hex(v.associated);
      auto nonce = fixed<kAeadNonceSize>(v.nonce);
      auto tag = fixed<kAeadTagSize>(v.tag);
      std::byte* const targets[] = {&message.back(), associated.data(), &nonce.back(), &tag[7]};
      *targets[part] ^= std::byte{0x10};
      const auto opened = opener.open(nonce, associated, message, tag);
      ASSERT_FALSE(opened) << part;
      EXPECT_EQ(opened.error().code, Errno::kAcces);
      EXPECT_EQ(message, Bytes(message.size()));
    }
    Bytes message = hex(v.cipher);  // and goes on with genuine ones
    EXPECT_TRUE(opener.open(fixed<kAeadNonceSize>(v.nonce), hex(v.associated), message,
                            fixed<kAeadTagSize>(v.tag)));
  }
}

// A MAC-only session has no text.
TEST(Aead, AuthenticatesAssociatedDataAlone) {
  const Bytes key(32, std::byte{1});
  const std::array<std::byte, kAeadNonceSize> nonce{};
  std::array<std::byte, kAeadTagSize> tag{};
  Aead(AeadAlgorithm::kAes256Gcm, kSeal, key).seal(nonce, text("header"), {}, tag);
  Aead opener(AeadAlgorithm::kAes256Gcm, kOpen, key);
  EXPECT_TRUE(opener.open(nonce, text("header"), std::span<std::byte>(), tag));
  EXPECT_FALSE(opener.open(nonce, text("Header"), std::span<std::byte>(), tag));
}

TEST(Secret, ComparesInConstantTimeBySizeAndBytes) {
  EXPECT_TRUE(equal_in_constant_time(text("abc"), text("abc")));
  EXPECT_FALSE(equal_in_constant_time(text("abc"), text("abd")));
  EXPECT_FALSE(equal_in_constant_time(text("abc"), text("ab")));
}

}  // namespace
}  // namespace teeio::crypto
