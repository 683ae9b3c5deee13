#include <gtest/gtest.h>

#include "crypto/identity.h"
#include "crypto/kem.h"

namespace teeio::crypto {
namespace {

std::vector<KeyType> post_quantum_types() {
  std::vector<KeyType> types;
  for (auto type = static_cast<unsigned>(KeyType::kMlDsa44);
       type <= static_cast<unsigned>(KeyType::kSlhDsaShake256f); ++type)
    types.push_back(static_cast<KeyType>(type));
  return types;
}

TEST(PostQuantum, KeysHaveNamesThatComeBack) {
  EXPECT_EQ(post_quantum_types().size(), 15U);
  for (const KeyType type : post_quantum_types()) {
    EXPECT_EQ(key_type_from_name(key_type_name(type)), type);
    EXPECT_EQ(key_type(default_algorithm(type)), type);
    EXPECT_TRUE(is_post_quantum(default_algorithm(type)));
  }
  EXPECT_EQ(signature_size(SignatureAlgorithm::kMlDsa65), 3309U);
  EXPECT_EQ(signature_size(SignatureAlgorithm::kSlhDsaSha2x128s), 7856U);
  EXPECT_EQ(signature_size(SignatureAlgorithm::kSlhDsaShake256f), 49856U);
  EXPECT_STREQ(post_quantum_name(KeyType::kSlhDsaShake192f), "SLH-DSA-SHAKE-192f");
  EXPECT_STREQ(post_quantum_name(KeyType::kP256), "");
}

// With OpenSSL 3.0 nothing is there, and that is said instead of tried.
TEST(PostQuantum, IsRefusedWhereOpenSslHasNone) {
  if (available(KeyType::kMlDsa65)) GTEST_SKIP() << "this OpenSSL has it";
  EXPECT_EQ(make_pki({.type = KeyType::kMlDsa65}).error().code, Errno::kOpNotSupp);
  EXPECT_FALSE(available(KemAlgorithm::kMlKem768));
}

// ML-DSA's three, and the fastest of SLH-DSA: the slow ones take seconds.
TEST(PostQuantum, SignsCertificatesAndSpdmMessages) {
  for (const KeyType type :
       {KeyType::kMlDsa44, KeyType::kMlDsa65, KeyType::kMlDsa87, KeyType::kSlhDsaSha2x128f}) {
    if (!available(type)) GTEST_SKIP() << "this OpenSSL is older than 3.5";
    const Pki pki = *make_pki({.type = type, .hash = fitting_hash(type)});
    const TrustAnchors anchors(pki.device.chain.certificates().first(1));
    EXPECT_TRUE(pki.device.chain.verify(anchors).has_value());
    const SpdmSigning what{.version = 0x14,
                           .purpose = SigningPurpose::kResponderMeasurements,
                           .algorithm = default_algorithm(type),
                           .hash = HashAlgorithm::kSha384};
    const Digest transcript(48);
    const Bytes signature = *pki.device.key.sign_spdm(what, transcript);
    EXPECT_EQ(signature.size(), signature_size(what.algorithm));
    const PublicKey& key = pki.device.chain.leaf().public_key();
    EXPECT_TRUE(key.verify_spdm(what, transcript, signature).has_value());
    // The purpose counts twice: in the message, and as the algorithm's context.
    SpdmSigning other = what;
    other.purpose = SigningPurpose::kResponderChallengeAuth;
    EXPECT_EQ(key.verify_spdm(other, transcript, signature).error().code, Errno::kAcces);
    EXPECT_EQ(key.verify_spdm(what, transcript, ByteView(signature).first(10)).error().code,
              Errno::kInval);
  }
}

TEST(Kem, BothEndsHaveOneSecret) {
  for (const KemAlgorithm algorithm :
       {KemAlgorithm::kMlKem512, KemAlgorithm::kMlKem768, KemAlgorithm::kMlKem1024}) {
    if (!available(algorithm)) GTEST_SKIP() << "this OpenSSL is older than 3.5";
    const DecapsulationKey key = DecapsulationKey::generate(algorithm);
    EXPECT_EQ(key.encapsulation_key().size(), encapsulation_key_size(algorithm));
    const auto sent = encapsulate(algorithm, key.encapsulation_key());
    ASSERT_TRUE(sent.has_value());
    EXPECT_EQ(sent->ciphertext.size(), ciphertext_size(algorithm));
    EXPECT_TRUE(std::ranges::equal(key.decapsulate(sent->ciphertext)->view(), sent->secret.view()));
    EXPECT_EQ(key.decapsulate(ByteView(sent->ciphertext).first(7)).error().code, Errno::kInval);
    // FIPS 203, 7.2: the modulus check of the key.
    const Bytes none(encapsulation_key_size(algorithm), std::byte{0xff});
    EXPECT_EQ(encapsulate(algorithm, none).error().code, Errno::kInval);
  }
}

}  // namespace
}  // namespace teeio::crypto
