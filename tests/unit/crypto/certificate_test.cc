#include "crypto/certificate.h"

#include <gtest/gtest.h>

#include "crypto/chain_problem.h"
#include "crypto/identity.h"
#include "schedule/task.h"
#include "unit/crypto/hex.h"

namespace teeio::crypto {
namespace {

const Pki& pki() {
  static const Pki made = make_device_identity(1, KeyType::kP256);
  return made;
}
const CertificateChain& chain() { return pki().device.chain; }

CertificateChain with(std::size_t index, const Certificate& certificate) {
  std::vector<Certificate> all(chain().certificates().begin(), chain().certificates().end());
  all[index] = certificate;
  return CertificateChain::of(std::move(all));
}

TrustAnchors anchors() { return TrustAnchors(chain().certificates().first(1)); }

/// The certificate with one byte changed, `offset` from its end: in its signature.
Certificate damaged(const Certificate& certificate) {
  Bytes der(certificate.der().begin(), certificate.der().end());
  der[der.size() - 5] ^= std::byte{1};
  return *Certificate::parse(der);
}

TEST(Identity, IsAChainOfThreeThatVerifies) {
  ASSERT_EQ(chain().certificates().size(), 3U);
  EXPECT_TRUE(chain().first().is_self_issued());
  EXPECT_TRUE(chain().certificates()[1].is_ca());
  EXPECT_FALSE(chain().leaf().is_ca());
  EXPECT_TRUE(chain().leaf().is_hardware_identity());
  EXPECT_FALSE(chain().certificates()[1].is_hardware_identity());
  EXPECT_TRUE(chain().verify(anchors()));
  EXPECT_EQ(chain().leaf().public_key().der(), pki().device.key.public_key().der());
}

// Also for what the machine does before its first use.
TEST(Identity, IsAFunctionOfItsSeed) {
  schedule::set_seed(99);
  const Pki again = make_device_identity(1, KeyType::kP256);
  EXPECT_EQ(again.device.chain.der(), chain().der());
  EXPECT_NE(make_device_identity(2, KeyType::kP256).device.chain.der(), chain().der());
}

TEST(Identity, IsMadeForEachAlgorithm) {
  for (const KeyType type :
       {KeyType::kRsa2048, KeyType::kP384, KeyType::kP521, KeyType::kEd25519}) {
    const Pki made = make_device_identity(3, type);
    const auto certificates = made.device.chain.certificates();
    EXPECT_TRUE(made.device.chain.verify(TrustAnchors(certificates.first(1))));
    EXPECT_EQ(made.device.chain.leaf().public_key().type(), type);
  }
}

TEST(Pki, RefusesANameThatACertificateCannotHold) {
  EXPECT_EQ(make_pki({.name = ""}).error().code, Errno::kInval);
  EXPECT_EQ(make_pki({.name = std::string(65, 'a')}).error().code, Errno::kInval);
}

TEST(Certificate, ComesBackFromDerAndPem) {
  const Certificate& leaf = chain().leaf();
  EXPECT_EQ(*Certificate::parse(leaf.der()), leaf);
  EXPECT_EQ(*Certificate::from_pem("a comment\n" + leaf.pem()), leaf);
  EXPECT_EQ(leaf.subject(), "CN=teeio device");
}

TEST(Identity, ComesBackFromPem) {
  const auto as_text = [](const Secret& pem) {
    return std::string(reinterpret_cast<const char*>(pem.view().data()), pem.size());
  };
  const std::string certificates = chain().pem();
  const auto identity = identity_from_pem(certificates, as_text(pki().device.key.pem()));
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->chain.der(), chain().der());
  EXPECT_EQ(identity_from_pem(certificates, as_text(pki().root_key.pem())).error().code,
            Errno::kInval);
  EXPECT_EQ(identity_from_pem("", as_text(pki().root_key.pem())).error().code, Errno::kInval);
}

TEST(Certificate, RefusesWhatIsNotPreciselyOne) {
  const ByteView der = chain().leaf().der();
  EXPECT_EQ(Certificate::parse({}).error().code, Errno::kInval);
  EXPECT_EQ(Certificate::parse(der.first(der.size() - 1)).error().code, Errno::kInval);
  Bytes longer(der.begin(), der.end());
  longer.push_back(std::byte{0});
  EXPECT_EQ(Certificate::parse(longer).error().code, Errno::kInval);
  EXPECT_EQ(Certificate::parse(Bytes(Certificate::kMaxSize + 1)).error().code, Errno::kInval);
  EXPECT_EQ(Certificate::from_pem("no PEM").error().code, Errno::kInval);
}

TEST(CertificateChain, ParsesCertificatesOneAfterTheOther) {
  const auto parsed = CertificateChain::parse(chain().der());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->certificates().size(), 3U);
  EXPECT_EQ(parsed->der(), chain().der());
  EXPECT_EQ(CertificateChain::parse({}).error().code, Errno::kInval);
  EXPECT_EQ(CertificateChain::parse(hex("30820005")).error().code, Errno::kInval);
}

TEST(CertificateChain, TakesWhatItKnowsWithoutParsingItAgain) {
  const auto parsed = CertificateChain::parse(chain().der(), chain().certificates().first(1));
  ASSERT_TRUE(parsed);
  // Copies share their bytes.
  EXPECT_EQ(parsed->first().der().data(), chain().first().der().data());
  EXPECT_NE(parsed->leaf().der().data(), chain().leaf().der().data());
  EXPECT_TRUE(parsed->verify(anchors()));
}

TEST(CertificateChain, HasALimitedNumberOfCertificates) {
  Writer many;
  for (std::size_t i = 0; i <= CertificateChain::kMaxCertificates; ++i)
    many.bytes(chain().leaf().der());
  EXPECT_EQ(CertificateChain::parse(many.take()).error().code, Errno::kTooBig);
}

TEST(CertificateChain, EndsInATrustedRoot) {
  const Pki other = make_device_identity(2, KeyType::kP256);
  const TrustAnchors foreign(other.device.chain.certificates().first(1));
  const auto verdict = chain().verify(foreign);
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code, Errno::kAcces);
}

// The root may be left out of the chain when the verifier has it.
TEST(CertificateChain, NeedsNoRootInside) {
  std::vector<Certificate> rest(chain().certificates().begin() + 1, chain().certificates().end());
  EXPECT_TRUE(CertificateChain::of(rest).verify(anchors()));
}

TEST(CertificateChain, RefusesAWrongSignature) {
  EXPECT_EQ(with(1, damaged(chain().certificates()[1])).verify(anchors()).error().code,
            Errno::kAcces);
  EXPECT_EQ(with(2, damaged(chain().leaf())).verify(anchors()).error().code, Errno::kAcces);
}

TEST(CertificateChain, RefusesAnotherOrder) {
  std::vector<Certificate> swapped(chain().certificates().begin(), chain().certificates().end());
  std::swap(swapped[0], swapped[1]);
  EXPECT_EQ(CertificateChain::of(swapped).verify(anchors()).error().code, Errno::kAcces);
}

// A device's own key signs no certificates, whatever the chain says.
TEST(CertificateChain, RefusesAnIssuerThatMayNotIssue) {
  std::vector<Certificate> all(chain().certificates().begin(), chain().certificates().end());
  all.push_back(all.back());
  EXPECT_FALSE(CertificateChain::of(all).verify(anchors()));
}

TEST(CertificateChain, RefusesAnAuthorityAsTheLeaf) {
  std::vector<Certificate> authorities(chain().certificates().begin(),
                                       chain().certificates().end() - 1);
  EXPECT_EQ(CertificateChain::of(authorities).verify(anchors()).error().code, Errno::kInval);
}

TEST(CertificateChain, IsValidFrom2020OnWhenTimeIsAsked) {
  constexpr std::int64_t kDuring2019 = 1'560'000'000;
  constexpr std::int64_t kDuring2030 = 1'900'000'000;
  EXPECT_EQ(chain().verify(anchors(), kDuring2019).error().code, Errno::kTimedOut);
  EXPECT_TRUE(chain().verify(anchors(), kDuring2030));
}

TEST(ChainProblem, NamesTheCertificate) {
  EXPECT_EQ(chain_problem(chain(), anchors()), std::nullopt);
  const Certificate leaf = chain().leaf();
  const auto alone = CertificateChain::of({leaf});
  const auto problem = chain_problem(alone, anchors());
  ASSERT_TRUE(problem);
  EXPECT_TRUE(problem->starts_with("certificate 1 of 1 (CN=")) << *problem;
  const auto twice = chain_problem(CertificateChain::of({chain().first(), leaf}));
  ASSERT_TRUE(twice);
  EXPECT_TRUE(twice->starts_with("certificate 2 of 2 (")) << *twice;
  EXPECT_TRUE(twice->ends_with("not by the one before it")) << *twice;
}

TEST(ValidityProblem, NamesTheCertificateAndTheDate) {
  constexpr std::int64_t kDuring2019 = 1'560'000'000;
  constexpr std::int64_t kDuring2030 = 1'900'000'000;
  EXPECT_EQ(validity_problem(chain(), kDuring2030), std::nullopt);
  const auto problem = validity_problem(chain(), kDuring2019);
  ASSERT_TRUE(problem);
  EXPECT_TRUE(problem->starts_with("certificate 1 of 3 (")) << *problem;
  EXPECT_TRUE(problem->ends_with(" is valid only from 2020-01-01T00:00:00Z on")) << *problem;
}

TEST(SpdmCertificateChain, ComesBackFromItsBlob) {
  const Bytes blob = encode_spdm_chain(chain(), HashAlgorithm::kSha384);
  EXPECT_EQ(blob.size(), 4 + 48 + chain().der().size());
  const auto parsed = SpdmCertificateChain::parse(blob, HashAlgorithm::kSha384);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->root_hash, hash(HashAlgorithm::kSha384, chain().first().der()));
  EXPECT_EQ(parsed->chain.der(), chain().der());
}

TEST(SpdmCertificateChain, RefusesAWrongLengthOrRootHash) {
  const auto code = [](Bytes blob) {
    return SpdmCertificateChain::parse(blob, HashAlgorithm::kSha384).error().code;
  };
  Bytes blob = encode_spdm_chain(chain(), HashAlgorithm::kSha384);
  blob[4] ^= std::byte{1};
  EXPECT_EQ(code(blob), Errno::kInval);
  blob = encode_spdm_chain(chain(), HashAlgorithm::kSha384);
  blob.pop_back();
  EXPECT_EQ(code(blob), Errno::kInval);
  EXPECT_EQ(code(Bytes(10)), Errno::kInval);
}

}  // namespace
}  // namespace teeio::crypto
