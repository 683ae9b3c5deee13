// Links: crypto
#include "crypto/identity.h"
#include "fuzzer.h"

// Certificates, keys and chains of a peer. Nobody but the holder of the keys makes
// a chain that verifies: what verifies here ends in the genuine device's key.
namespace teeio::fuzz {
namespace {

using namespace crypto;

struct Genuine {
  Pki pki =
      make_device_identity(1, KeyType::kP256);  // as `teeio pki new --algorithm p256 --seed 1`
  TrustAnchors anchors{pki.device.chain.certificates().first(1)};
};

void judge(const CertificateChain& chain) {
  static const Genuine genuine;
  (void)chain.verify(genuine.anchors, 1'900'000'000);
  if (!chain.verify(genuine.anchors)) return;
  TEEIO_CHECK(chain.leaf().public_key().der() == genuine.pki.device.key.public_key().der(),
              "a forged chain verifies");
}

}  // namespace

void run(ByteView input) {
  if (const auto certificate = Certificate::parse(input)) {
    TEEIO_CHECK(std::ranges::equal(certificate->der(), input), "a certificate does not come back");
    TEEIO_CHECK(Certificate::from_pem(certificate->pem()) == *certificate,
                "PEM does not come back");
    (void)certificate->subject();
  }
  if (const auto chain = CertificateChain::parse(input)) {
    TEEIO_CHECK(chain->der() == Bytes(input.begin(), input.end()), "a chain does not come back");
    judge(*chain);
  }
  for (const auto hash : {HashAlgorithm::kSha256, HashAlgorithm::kSha384})
    if (const auto blob = SpdmCertificateChain::parse(input, hash)) judge(blob->chain);
  (void)PublicKey::from_der(input);
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  if (text.starts_with('-')) (void)CertificateChain::from_pem(text);
}

}  // namespace teeio::fuzz
