#include "crypto/csr.h"

#include <gtest/gtest.h>

#include "crypto/identity.h"

namespace teeio::crypto {
namespace {

class RequestTest : public ::testing::TestWithParam<HashAlgorithm> {
 protected:
  const Pki pki = make_device_identity(1, KeyType::kP256);
  const Bytes request = certification_request(pki.device.key, GetParam(), "name", {}).value();
};

TEST_P(RequestTest, VerifiesWhatItsKeySigned) {
  EXPECT_TRUE(verify_certification_request(request, pki.device.key.public_key()));
}

TEST_P(RequestTest, RefusesAnotherSignatureAndAnotherKey) {
  Bytes damaged = request;
  damaged[damaged.size() - 5] ^= std::byte{1};
  EXPECT_EQ(verify_certification_request(damaged, pki.device.key.public_key()).error().code,
            Errno::kAcces);
  const Pki other = make_device_identity(2, KeyType::kP256);
  EXPECT_EQ(verify_certification_request(request, other.device.key.public_key()).error().code,
            Errno::kAcces);
}

INSTANTIATE_TEST_SUITE_P(Hashes, RequestTest,
                         ::testing::Values(HashAlgorithm::kSha256, HashAlgorithm::kSha384,
                                           HashAlgorithm::kSha3_256, HashAlgorithm::kSha3_384,
                                           HashAlgorithm::kSha3_512));

}  // namespace
}  // namespace teeio::crypto
