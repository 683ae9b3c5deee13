#include "crypto/keys.h"

#include <gtest/gtest.h>

#include "crypto/random.h"
#include "schedule/task.h"
#include "unit/crypto/hex.h"

namespace teeio::crypto {
namespace {

using enum SignatureAlgorithm;

constexpr SignatureAlgorithm kAll[] = {kRsaSsa2048, kRsaPss2048, kRsaSsa3072, kRsaPss3072,
                                       kEcdsaP256,  kRsaSsa4096, kRsaPss4096, kEcdsaP384,
                                       kEcdsaP521,  kEd25519};
constexpr KeyType kFastTypes[] = {KeyType::kRsa2048, KeyType::kP256, KeyType::kP384, KeyType::kP521,
                                  KeyType::kEd25519};

Bytes after(std::string_view prefix, std::string_view rest) {
  return hex(std::string(prefix) + std::string(rest));
}

// SubjectPublicKeyInfo up to the point (RFC 5480) or the key (RFC 8410).
constexpr std::string_view kP256Info = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
constexpr std::string_view kP384Info = "3076301006072a8648ce3d020106052b8104002203620004";
constexpr std::string_view kEd25519Info = "302a300506032b6570032100";

// RFC 6979, A.2.5 and A.2.6: the message "sample".
TEST(PublicKey, VerifiesThePublishedEcdsaSignatures) {
  const auto p256 = PublicKey::from_der(
      after(kP256Info,
            "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
            "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"));
  ASSERT_TRUE(p256);
  Bytes signature =
      hex("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
          "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8");
  EXPECT_TRUE(p256->verify(kEcdsaP256, HashAlgorithm::kSha256, text("sample"), signature));
  signature[3] ^= std::byte{1};
  EXPECT_EQ(
      p256->verify(kEcdsaP256, HashAlgorithm::kSha256, text("sample"), signature).error().code,
      Errno::kAcces);

  const auto p384 = PublicKey::from_der(
      after(kP384Info,
            "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64"
            "def8f0ea9055866064a254515480bc138015d9b72d7d57244ea8ef9ac0c62189"
            "6708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720"));
  ASSERT_TRUE(p384);
  EXPECT_TRUE(
      p384->verify(kEcdsaP384, HashAlgorithm::kSha384, text("sample"),
                   hex("94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c"
                       "81a648152e44acf96e36dd1e80fabe4699ef4aeb15f178cea1fe40db2603138f"
                       "130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8")));
}

// RFC 8032, 7.1, test 2: deterministic, so both directions are known.
TEST(PrivateKey, MakesThePublishedEd25519Signature) {
  const auto key = PrivateKey::from_der(
      after("302e020100300506032b657004220420",
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
  ASSERT_TRUE(key);
  EXPECT_EQ(to_hex(key->public_key().der()),
            std::string(kEd25519Info) +
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  EXPECT_EQ(to_hex(*key->sign(kEd25519, HashAlgorithm::kSha256, hex("72"))),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
}

TEST(PrivateKey, SignsWhatItsPublicKeyVerifiesAndNothingElse) {
  for (const KeyType type : kFastTypes) {
    const PrivateKey key = PrivateKey::generate(type);
    for (const SignatureAlgorithm algorithm : kAll) {
      const auto signature = key.sign(algorithm, HashAlgorithm::kSha384, text("message"));
      if (key_type(algorithm) != type) {
        EXPECT_EQ(signature.error().code, Errno::kInval);
        continue;
      }
      ASSERT_TRUE(signature);
      EXPECT_EQ(signature->size(), signature_size(algorithm));
      const auto verify = [&](HashAlgorithm hash, std::string_view message) {
        return key.public_key().verify(algorithm, hash, text(message), *signature);
      };
      EXPECT_TRUE(verify(HashAlgorithm::kSha384, "message"));
      EXPECT_EQ(verify(HashAlgorithm::kSha384, "massage").error().code, Errno::kAcces);
      if (type != KeyType::kEd25519) {
        EXPECT_FALSE(verify(HashAlgorithm::kSha256, "message"));
      }
    }
  }
}

// Also when r or s begins with a zero byte, as one signature in 128 does.
TEST(PrivateKey, WritesRAndSAtFullWidth) {
  const PrivateKey key = PrivateKey::generate(KeyType::kP256);
  bool padded = false;
  for (int i = 0; i < 3000 && !padded; ++i) {
    const auto signature = *key.sign(kEcdsaP256, HashAlgorithm::kSha256, text("m"));
    ASSERT_EQ(signature.size(), 64U);
    padded = padded || signature[0] == std::byte{0} || signature[32] == std::byte{0};
    ASSERT_TRUE(key.public_key().verify(kEcdsaP256, HashAlgorithm::kSha256, text("m"), signature));
  }
  EXPECT_TRUE(padded);
}

TEST(PublicKey, RefusesASignatureOfAnotherSize) {
  const PrivateKey key = PrivateKey::generate(KeyType::kP256);
  Bytes signature = *key.sign(kEcdsaP256, HashAlgorithm::kSha256, text("m"));
  signature.push_back(std::byte{0});
  EXPECT_EQ(key.public_key()
                .verify(kEcdsaP256, HashAlgorithm::kSha256, text("m"), signature)
                .error()
                .code,
            Errno::kInval);
}

TEST(PrivateKey, ComesBackFromItsPemAndDer) {
  const PrivateKey key = PrivateKey::generate(KeyType::kP384);
  const Secret pem = key.pem();
  const auto from_pem =
      PrivateKey::from_pem({reinterpret_cast<const char*>(pem.view().data()), pem.size()});
  const auto from_der = PrivateKey::from_der(key.der().view());
  ASSERT_TRUE(from_pem && from_der);
  EXPECT_EQ(from_pem->public_key().der(), key.public_key().der());
  EXPECT_EQ(from_der->public_key().der(), key.public_key().der());
}

TEST(PrivateKey, RefusesWhatIsNoKey) {
  EXPECT_EQ(PrivateKey::from_pem("").error().code, Errno::kInval);
  EXPECT_EQ(PrivateKey::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
                .error()
                .code,
            Errno::kInval);
  EXPECT_EQ(PrivateKey::from_der(hex("3000")).error().code, Errno::kInval);
  EXPECT_EQ(PublicKey::from_der({}).error().code, Errno::kInval);
}

// secp256k1 is a curve, and none of SPDM's.
TEST(PublicKey, RefusesAnotherCurve) {
  const auto key =
      PublicKey::from_der(hex("3056301006072a8648ce3d020106052b8104000a03420004"
                              "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
                              "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"));
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, Errno::kOpNotSupp);
}

// DSP0274 1.2: four times the version's prefix, zeros, the context: 100 bytes.
TEST(SpdmSignature, IsOverTheCombinedPrefixAndTheTranscriptHash) {
  const SpdmSigning what{.version = 0x13,
                         .purpose = SigningPurpose::kRequesterFinish,
                         .algorithm = kEd25519,
                         .hash = HashAlgorithm::kSha256};
  const Digest transcript = hash(HashAlgorithm::kSha256, text("transcript"));
  Writer expected;
  for (int i = 0; i < 4; ++i) expected.bytes(text("dmtf-spdm-v1.3.*"));
  expected.zeros(100 - 64 - 24).bytes(text("requester-finish signing")).bytes(transcript);
  const Bytes message = expected.take();
  EXPECT_EQ(combined_message(what, transcript), message);
  ASSERT_EQ(message.size(), 132U);

  const PrivateKey key = PrivateKey::generate(KeyType::kEd25519);
  EXPECT_EQ(*key.sign_spdm(what, transcript), *key.sign(kEd25519, what.hash, message));
}

TEST(SpdmSignature, BelongsToItsPurposeAndVersion) {
  for (const KeyType type : kFastTypes) {
    const PrivateKey key = PrivateKey::generate(type);
    SpdmSigning what{.version = 0x12,
                     .purpose = SigningPurpose::kResponderKeyExchangeRsp,
                     .algorithm = default_algorithm(type),
                     .hash = HashAlgorithm::kSha384};
    const Digest transcript = hash(HashAlgorithm::kSha384, text("transcript"));
    const Bytes signature = *key.sign_spdm(what, transcript);
    EXPECT_TRUE(key.public_key().verify_spdm(what, transcript, signature));
    what.purpose = SigningPurpose::kResponderMeasurements;
    EXPECT_FALSE(key.public_key().verify_spdm(what, transcript, signature));
    what.purpose = SigningPurpose::kResponderKeyExchangeRsp;
    what.version = 0x14;
    EXPECT_FALSE(key.public_key().verify_spdm(what, transcript, signature));
  }
}

// Up to 1.1 it is an ordinary signature over the transcript.
TEST(SpdmSignature, HasNoPrefixBefore12) {
  const PrivateKey key = PrivateKey::generate(KeyType::kP256);
  const SpdmSigning what{.version = 0x11,
                         .purpose = SigningPurpose::kResponderChallengeAuth,
                         .algorithm = kEcdsaP256,
                         .hash = HashAlgorithm::kSha256};
  const Bytes signature = *key.sign_spdm(what, hash(HashAlgorithm::kSha256, text("transcript")));
  EXPECT_TRUE(
      key.public_key().verify(kEcdsaP256, HashAlgorithm::kSha256, text("transcript"), signature));
}

// A run is reproducible, ECDSA's nonces included.
TEST(Random, TheSameSeedOfARunGivesTheSameSignature) {
  const PrivateKey key = PrivateKey::generate(KeyType::kP384);
  const auto signature = [&] {
    schedule::set_seed(42);
    return *key.sign(kEcdsaP384, HashAlgorithm::kSha384, text("m"));
  };
  const Bytes first = signature();
  EXPECT_EQ(signature(), first);
  EXPECT_NE(*key.sign(kEcdsaP384, HashAlgorithm::kSha384, text("m")), first);
}

// A key that lives longer than a run has signed before, and was blinded then.
TEST(Random, AnRsaKeysPastDoesNotShowInARun) {
  const PrivateKey key = PrivateKey::generate(KeyType::kRsa2048);
  const auto run = [&] {
    schedule::set_seed(42);
    const Bytes signature = *key.sign(kRsaPss2048, HashAlgorithm::kSha256, text("m"));
    return std::pair(signature, schedule::random_u64());
  };
  const auto first = run();
  for (int i = 0; i < 40; ++i) EXPECT_EQ(run(), first);
}

// What a SeededRandom makes takes nothing from the run's own sequence.
TEST(Random, ASeedOfItsOwnLeavesTheRunsSequenceAlone) {
  schedule::set_seed(7);
  const std::uint64_t expected = schedule::random_u64();
  schedule::set_seed(7);
  Bytes outer_key;
  {
    const SeededRandom seeded(1);
    outer_key = PrivateKey::generate(KeyType::kP256).public_key().der();
  }
  EXPECT_EQ(schedule::random_u64(), expected);
  const SeededRandom seeded(1);
  EXPECT_EQ(PrivateKey::generate(KeyType::kP256).public_key().der(), outer_key);
}

TEST(Random, TheSystemsGeneratorDoesNotComeBack) {
  const auto draw = [] {
    schedule::set_seed(3);
    Bytes out(32);
    fill_random(out);
    return out;
  };
  const Bytes reproducible = draw();
  EXPECT_EQ(draw(), reproducible);
  set_random_source(RandomSource::kSystem);
  const Bytes one = draw();
  const Bytes other = draw();
  set_random_source(RandomSource::kReproducible);
  EXPECT_NE(one, other);
  EXPECT_NE(one, reproducible);
}

}  // namespace
}  // namespace teeio::crypto
