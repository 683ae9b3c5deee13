#include <gtest/gtest.h>

#include "spdm/suite.h"
#include "unit/spdm/ends.h"
#include "wire/spdm_pqc.h"

namespace teeio::spdm {
namespace {

constexpr std::uint32_t kMlDsa65 = 2;
constexpr std::uint16_t kMlKem768 = 2;

// The wire carries the offer whatever OpenSSL can do; what nobody has is not chosen.
TEST(PostQuantum, FallsBackWhereTheDeviceHasNoSuchKey) {
  RequesterConfig asks = Ends::requester_config();
  asks.settings.algorithms.pqc_asym = kMlDsa65;
  asks.settings.algorithms.kem = kMlKem768;
  Ends ends(std::move(asks), Ends::responder_config());
  ASSERT_TRUE(ends.open_session().has_value());
  const Algorithms agreed = ends.requester.negotiated()->algorithms;
  EXPECT_EQ(agreed.pqc_asym, 0U);
  EXPECT_EQ(agreed.kem, 0U);
  EXPECT_EQ(agreed.base_asym, 0x80U);
}

// Classical certificates, but a KEM in the place of a curve.
TEST(PostQuantum, TakesOneOfTheTwoFamilies) {
  if (available_kems() == 0) GTEST_SKIP() << "this OpenSSL is older than 3.5";
  for (const bool first : {false, true}) {
    RequesterConfig asks = Ends::requester_config();
    asks.settings.algorithms.kem = kMlKem768;
    ResponderConfig answers = Ends::responder_config();
    answers.settings.algorithms.kem = kMlKem768;
    answers.settings.algorithms.post_quantum_first = first;
    Ends ends(std::move(asks), std::move(answers));
    ASSERT_TRUE(ends.open_session().has_value());
    const Algorithms agreed = ends.requester.negotiated()->algorithms;
    EXPECT_EQ(agreed.kem, first ? kMlKem768 : 0);
    EXPECT_EQ(agreed.dhe != 0, !first);
  }
}

TEST(PostQuantum, ProvesItselfAndOpensASession) {
  for (const crypto::KeyType type :
       {crypto::KeyType::kMlDsa44, crypto::KeyType::kMlDsa65, crypto::KeyType::kMlDsa87}) {
    if (!crypto::available(type)) GTEST_SKIP() << "this OpenSSL is older than 3.5";
    const crypto::Pki device = crypto::make_device_identity(9, type);
    FixedCredentials credentials(device.device);
    RequesterConfig asks;
    asks.trust_anchors = {device.device.chain.first()};
    asks.settings.max_message_size = 0x28000;
    asks.settings.algorithms = Algorithms::cnsa().with_post_quantum();
    ResponderConfig answers = Ends::responder_config();
    answers.credentials = &credentials;
    answers.settings.max_message_size = 0x28000;
    answers.settings.algorithms = asks.settings.algorithms;
    answers.settings.algorithms.post_quantum_first = true;
    Ends ends(std::move(asks), std::move(answers));
    ASSERT_TRUE(ends.open_session().has_value());
    const Algorithms agreed = ends.requester.negotiated()->algorithms;
    EXPECT_EQ(pqc_signature_of(agreed.pqc_asym), crypto::default_algorithm(type));
    EXPECT_EQ(agreed.kem, 4U);
    ends.requester.challenge(0);
    ends.requester.measure({.session = *ends.requester.last_session()});
    EXPECT_TRUE(ends.run().has_value());
    EXPECT_EQ(ends.requester.measurement_record().signature.size(),
              wire::spdm_pqc_signature_size(agreed.pqc_asym));
  }
}

// Before 1.4 there is no such field.
TEST(PostQuantum, IsNotOfferedBefore14) {
  RequesterConfig asks = Ends::requester_config();
  asks.settings.versions = {wire::kSpdmVersion13};
  asks.settings.algorithms.pqc_asym = kMlDsa65;
  asks.settings.algorithms.kem = kMlKem768;
  ResponderConfig answers = Ends::responder_config();
  answers.settings.algorithms.kem = kMlKem768;
  answers.settings.algorithms.post_quantum_first = true;
  Ends ends(std::move(asks), std::move(answers));
  ASSERT_TRUE(ends.open_session().has_value());
  EXPECT_EQ(ends.requester.negotiated()->algorithms.kem, 0U);
}

}  // namespace
}  // namespace teeio::spdm
