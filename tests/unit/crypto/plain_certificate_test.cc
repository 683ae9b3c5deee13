#include "crypto/plain_certificate.h"

#include <gtest/gtest.h>

#include "crypto/identity.h"

namespace teeio::crypto {
namespace {

const CertificateChain& chain_of(KeyType type) {
  static const Pki p256 = make_device_identity(3, KeyType::kP256);
  static const Pki p384 = make_device_identity(3, KeyType::kP384);
  return type == KeyType::kP256 ? p256.device.chain : p384.device.chain;
}
bool is_plain(const Pki& pki) {
  return std::ranges::all_of(pki.device.chain.certificates(),
                             [](const Certificate& one) { return one.plain() != nullptr; });
}

TEST(PlainCertificate, IsWhatDevicesHave) {
  EXPECT_TRUE(is_plain(make_device_identity(1, KeyType::kP256)));
  EXPECT_TRUE(is_plain(make_device_identity(1, KeyType::kP384)));
  EXPECT_TRUE(is_plain(make_device_identity(1, KeyType::kP521)));
  // Other kinds of keys are read by OpenSSL, as everything else is.
  EXPECT_FALSE(is_plain(make_device_identity(1, KeyType::kEd25519)));
}

TEST(PlainCertificate, SaysTheSameAsOpenSsl) {
  for (const KeyType type : {KeyType::kP256, KeyType::kP384}) {
    const CertificateChain& chain = chain_of(type);
    EXPECT_TRUE(chain.first().is_ca());
    EXPECT_TRUE(chain.first().is_self_issued());
    EXPECT_FALSE(chain.leaf().is_ca());
    EXPECT_TRUE(chain.leaf().is_hardware_identity());
    EXPECT_FALSE(chain.leaf().is_mutable());
    EXPECT_EQ(chain.leaf().public_key().type(), type);
    EXPECT_EQ(chain.leaf().subject(), "CN=teeio device");
    EXPECT_NE(chain.leaf().handle(), nullptr);
  }
}

/// By OpenSSL's path validation, which a time asks for.
constexpr std::int64_t kNow = 1'900'000'000;

TEST(PlainCertificate, HoldsAsOpenSslSays) {
  for (const KeyType type : {KeyType::kP256, KeyType::kP384}) {
    const CertificateChain& chain = chain_of(type);
    const TrustAnchors anchors(chain.certificates().first(1));
    EXPECT_TRUE(chain.verify(anchors).has_value());
    EXPECT_TRUE(chain.verify(anchors, kNow).has_value());
    const TrustAnchors others(
        chain_of(type == KeyType::kP256 ? KeyType::kP384 : KeyType::kP256).certificates().first(1));
    EXPECT_EQ(chain.verify(others).error().code, Errno::kAcces);
  }
}

// Whatever is changed in a certificate: nothing holds that OpenSSL refuses, and what is taken
// for plain is a certificate to OpenSSL too.
TEST(PlainCertificate, IsNeverMoreThanOpenSslTakes) {
  const CertificateChain& chain = chain_of(KeyType::kP256);
  const TrustAnchors anchors(chain.certificates().first(1));
  const Bytes der = chain.der();
  unsigned plain = 0;
  for (std::size_t i = chain.first().der().size(); i < der.size(); ++i)
    for (const unsigned bit : {0x01U, 0x20U, 0x80U}) {
      Bytes bent = der;
      bent[i] ^= static_cast<std::byte>(bit);
      const auto parsed = CertificateChain::parse(bent);
      if (!parsed) continue;
      for (const Certificate& one : parsed->certificates()) {
        if (one.plain() == nullptr) continue;
        ++plain;
        ASSERT_NE(one.handle(), nullptr) << i << " " << bit;
      }
      ASSERT_FALSE(parsed->verify(anchors).has_value()) << i << " " << bit;
    }
  EXPECT_GT(plain, 1000U);  // most changes leave the form as it is: the test is about those
}

TEST(PlainPath, WantsWhatRfc5280Wants) {
  std::vector<detail::PlainCertificate> path;
  for (const Certificate& one : chain_of(KeyType::kP256).certificates())
    path.push_back(*one.plain());
  ASSERT_TRUE(detail::is_plain_path(path));
  const auto broken = [&](std::size_t at, auto change) {
    auto other = path;
    change(other.at(at));
    return !detail::is_plain_path(other);
  };
  EXPECT_TRUE(broken(1, [](auto& c) { c.is_ca = false; }));
  EXPECT_TRUE(broken(1, [](auto& c) { c.key_usage = detail::kUsageDigitalSignature; }));
  EXPECT_TRUE(broken(1, [](auto& c) { c.key_usage.reset(); }));
  EXPECT_TRUE(broken(0, [](auto& c) { c.path_length = 0; }));
  EXPECT_FALSE(broken(1, [](auto& c) { c.path_length = 0; }));
  EXPECT_TRUE(broken(2, [](auto& c) { c.is_ca = true; }));
  EXPECT_TRUE(broken(2, [](auto& c) { c.key_usage = detail::kUsageCertSign; }));
  EXPECT_TRUE(broken(2, [](auto& c) { c.issuer = c.subject; }));
  EXPECT_TRUE(broken(2, [](auto& c) { c.authority_key_id = c.subject_key_id; }));
  EXPECT_FALSE(detail::is_plain_path(std::span(path).first(1)));
}

}  // namespace
}  // namespace teeio::crypto
