#include <gtest/gtest.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "crypto/identity.h"
#include "unit/crypto/hex.h"

// Chains of certificates with one thing wrong each, made by OpenSSL.
namespace teeio::crypto {
namespace {

struct Extension {
  int nid;
  const char* value;
};
using Extensions = std::vector<Extension>;

const Extensions kAuthority = {{NID_basic_constraints, "critical,CA:TRUE"},
                               {NID_key_usage, "critical,keyCertSign"}};
const Extensions kDevice = {{NID_basic_constraints, "critical,CA:FALSE"},
                            {NID_key_usage, "critical,digitalSignature"}};

struct Spec {
  std::string subject;
  std::string issuer;
  Extensions extensions = kAuthority;
  const char* not_after = "99991231235959Z";
  const EVP_MD* hash = EVP_sha256();
  long version = 2;
  enum class Padding : std::uint8_t { kOrdinary, kPss } padding = Padding::kOrdinary;
};

Certificate issue(const Spec& spec, const PrivateKey& subject, const PrivateKey& issuer) {
  X509* const x = X509_new();
  const auto set = [](X509_NAME* name, const std::string& text) {
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1, 0);
  };
  X509_set_version(x, spec.version);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  set(X509_get_subject_name(x), spec.subject);
  X509_NAME* const issuer_name = X509_NAME_new();
  set(issuer_name, spec.issuer);
  X509_set_issuer_name(x, issuer_name);
  X509_NAME_free(issuer_name);
  ASN1_TIME_set_string_X509(X509_getm_notBefore(x), "20200101000000Z");
  ASN1_TIME_set_string_X509(X509_getm_notAfter(x), spec.not_after);
  X509_set_pubkey(x, subject.handle());
  for (const Extension& extension : spec.extensions) {
    X509_EXTENSION* const made =
        X509V3_EXT_conf_nid(nullptr, nullptr, extension.nid, extension.value);
    EXPECT_NE(made, nullptr) << extension.value;
    X509_add_ext(x, made, -1);
    X509_EXTENSION_free(made);
  }
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* key_context = nullptr;
  const bool eddsa = issuer.type() == KeyType::kEd25519;
  EVP_DigestSignInit(context, &key_context, eddsa ? nullptr : spec.hash, nullptr, issuer.handle());
  if (spec.padding == Spec::Padding::kPss)
    EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING);
  EXPECT_GT(X509_sign_ctx(x, context), 0);
  EVP_MD_CTX_free(context);
  Bytes der(static_cast<std::size_t>(i2d_X509(x, nullptr)));
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509(x, &out);
  X509_free(x);
  return *Certificate::parse(der);
}

/// Root → middle → leaf, of which one test changes one.
struct Chain {
  explicit Chain(KeyType authorities = KeyType::kP256)
      : root_key(PrivateKey::generate(authorities)),
        middle_key(PrivateKey::generate(authorities)),
        leaf_key(PrivateKey::generate(KeyType::kP256)) {}

  [[nodiscard]] CertificateChain make() const {
    return CertificateChain::of({issue(root, root_key, root_key),
                                 issue(middle, middle_key, root_key),
                                 issue(leaf, leaf_key, middle_key)});
  }
  [[nodiscard]] Result<void> verify(std::optional<std::int64_t> when = {}) const {
    const CertificateChain chain = make();
    return chain.verify(TrustAnchors(chain.certificates().first(1)), when);
  }

  PrivateKey root_key;
  PrivateKey middle_key;
  PrivateKey leaf_key;
  Spec root{.subject = "root", .issuer = "root"};
  Spec middle{.subject = "middle", .issuer = "root"};
  Spec leaf{.subject = "leaf", .issuer = "middle", .extensions = kDevice};
};

TEST(CertificatePath, AcceptsAuthoritiesOfEveryKind) {
  for (const KeyType type :
       {KeyType::kP256, KeyType::kP384, KeyType::kP521, KeyType::kRsa2048, KeyType::kEd25519})
    EXPECT_TRUE(Chain(type).verify()) << key_type_name(type);
}

TEST(CertificatePath, AcceptsRsaPssSignatures) {
  Chain chain(KeyType::kRsa2048);
  for (Spec* const spec : {&chain.root, &chain.middle, &chain.leaf})
    spec->padding = Spec::Padding::kPss;
  EXPECT_TRUE(chain.verify());
  const CertificateChain made = chain.make();
  const CertificateChain foreign = Chain(KeyType::kRsa2048).make();
  EXPECT_FALSE(CertificateChain::of({foreign.first(), made.certificates()[1], made.leaf()})
                   .verify(TrustAnchors(foreign.certificates().first(1))));
}

TEST(CertificatePath, RefusesAnIssuerThatIsNoAuthority) {
  Chain chain;
  chain.middle.extensions = kDevice;
  EXPECT_EQ(chain.verify().error().code, Errno::kAcces);
  chain.middle.extensions = {};  // nothing said: not an authority either
  EXPECT_EQ(chain.verify().error().code, Errno::kAcces);
}

TEST(CertificatePath, RefusesAnAuthorityWhoseKeySignsNoCertificates) {
  Chain chain;
  chain.middle.extensions = {{NID_basic_constraints, "critical,CA:TRUE"},
                             {NID_key_usage, "critical,digitalSignature"}};
  EXPECT_EQ(chain.verify().error().code, Errno::kAcces);
}

TEST(CertificatePath, KeepsToThePathLength) {
  Chain chain;
  chain.root.extensions = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:1"},
                           {NID_key_usage, "critical,keyCertSign"}};
  EXPECT_TRUE(chain.verify());
  chain.root.extensions[0].value = "critical,CA:TRUE,pathlen:0";
  EXPECT_EQ(chain.verify().error().code, Errno::kAcces);
}

TEST(CertificatePath, RefusesAnExtensionThatItMayNotOverlook) {
  Chain chain;
  chain.leaf.extensions.push_back({NID_netscape_comment, "critical,unknown to verifiers"});
  EXPECT_EQ(chain.verify().error().code, Errno::kAcces);
  chain.leaf.extensions.back().value = "an ordinary comment";
  EXPECT_TRUE(chain.verify());
}

TEST(CertificatePath, RefusesALeafWhoseKeyDoesNotSign) {
  Chain chain;
  chain.leaf.extensions = {{NID_key_usage, "critical,keyAgreement"}};
  EXPECT_EQ(chain.verify().error().code, Errno::kInval);
  chain.leaf.extensions = {};  // nothing said: allowed
  EXPECT_TRUE(chain.verify());
}

TEST(CertificatePath, RefusesALeafOfAnOlderVersion) {
  Chain chain;
  chain.leaf.extensions = {};
  chain.leaf.version = 0;
  EXPECT_EQ(chain.verify().error().code, Errno::kInval);
}

TEST(CertificatePath, RefusesAHashThatSpdmLacks) {
  Chain chain;
  chain.leaf.hash = EVP_sha1();
  EXPECT_EQ(chain.verify().error().code, Errno::kAcces);
}

TEST(CertificatePath, RefusesANameThatIsNotTheIssuers) {
  Chain chain;
  chain.leaf.issuer = "muddle";
  EXPECT_EQ(chain.verify().error().code, Errno::kAcces);
}

// OpenSSL 3.0 alone calls the algorithm unknown.
TEST(CertificatePath, TakesEcdsaWithSha3) {
  for (const EVP_MD* const hash : {EVP_sha3_256(), EVP_sha3_384(), EVP_sha3_512()}) {
    Chain chain;
    chain.middle.hash = chain.leaf.hash = hash;
    EXPECT_TRUE(chain.verify());
  }
}

TEST(CertificatePath, RefusesAnIssuersNameWithAnotherKey) {
  Chain chain;
  const CertificateChain made = chain.make();
  const CertificateChain foreign = Chain().make();
  const auto mixed = CertificateChain::of({made.first(), made.certificates()[1], foreign.leaf()});
  EXPECT_EQ(mixed.verify(TrustAnchors(made.certificates().first(1))).error().code, Errno::kAcces);
}

// Each of a path, the root included.
TEST(CertificatePath, RefusesACertificateWhoseTimeIsOver) {
  constexpr std::int64_t kDuring2030 = 1'900'000'000;
  for (Spec Chain::* const which : {&Chain::root, &Chain::middle, &Chain::leaf}) {
    Chain chain;
    (chain.*which).not_after = "20291231235959Z";
    EXPECT_EQ(chain.verify(kDuring2030).error().code, Errno::kTimedOut);
    EXPECT_TRUE(chain.verify(kDuring2030 - 100'000'000));
    EXPECT_TRUE(chain.verify());
  }
}

// A vendor's authority is pinned, and its root is nobody's business.
TEST(CertificatePath, EndsAtAnAuthorityBelowTheRoot) {
  const CertificateChain chain = Chain().make();
  EXPECT_TRUE(chain.verify(TrustAnchors(chain.certificates().subspan(1, 1))));
  const auto below = CertificateChain::of({chain.certificates()[1], chain.leaf()});
  EXPECT_TRUE(below.verify(TrustAnchors(chain.certificates().subspan(1, 1))));
}

// Two roots of one name are told apart by their key identifiers.
TEST(CertificatePath, FindsTheAnchorOfTheKeyAmongThoseOfTheName) {
  const CertificateChain chain = make_device_identity(1, KeyType::kP256).device.chain;
  const CertificateChain other = make_device_identity(2, KeyType::kP256).device.chain;
  const std::vector<Certificate> anchors = {other.first(), chain.first()};
  const auto without_root = CertificateChain::of({chain.certificates()[1], chain.leaf()});
  EXPECT_TRUE(without_root.verify(TrustAnchors(anchors)));
  EXPECT_FALSE(without_root.verify(TrustAnchors(std::span(anchors).first(1))));
  EXPECT_FALSE(without_root.verify(TrustAnchors({})));
}

// The point of the key is off its curve.
TEST(Certificate, RefusesAKeyThatIsNone) {
  const CertificateChain chain = Chain().make();
  Bytes der(chain.leaf().der().begin(), chain.leaf().der().end());
  const Bytes key = chain.leaf().public_key().der();
  const auto at = std::ranges::search(der, key).begin();
  ASSERT_NE(at, der.end());
  at[static_cast<std::ptrdiff_t>(key.size()) - 1] ^= std::byte{1};
  EXPECT_EQ(Certificate::parse(der).error().code, Errno::kInval);
}

}  // namespace
}  // namespace teeio::crypto
