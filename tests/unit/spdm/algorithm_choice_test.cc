#include <gtest/gtest.h>

#include <utility>

#include "spdm/capability_rules.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"

namespace teeio::spdm {
namespace {

TEST(AlgorithmChoice, TheTeeIoConfigurationGoesBeforeWhatIsMerelyNewer) {
  constexpr std::uint32_t kAll = 0xffff;
  EXPECT_EQ(choose_bit(Choice::kBaseHash, kAll), std::to_underlying(wire::SpdmHash::kSha384));
  EXPECT_EQ(choose_bit(Choice::kMeasurementHash, kAll),
            std::to_underlying(wire::SpdmMeasurementHash::kSha384));
  EXPECT_EQ(choose_bit(Choice::kAsym, kAll), std::to_underlying(wire::SpdmAsym::kEcdsaP384));
  EXPECT_EQ(choose_bit(Choice::kGroup, kAll), std::to_underlying(wire::SpdmDhe::kSecp384r1));
  EXPECT_EQ(choose_bit(Choice::kAead, kAll), std::to_underlying(wire::SpdmAead::kAes256Gcm));
}

TEST(AlgorithmChoice, OthersAreChosenWhereNothingElseIsCommon) {
  const auto p521 = std::to_underlying(wire::SpdmAsym::kEcdsaP521);
  EXPECT_EQ(choose_bit(Choice::kAsym, p521 | 1U), p521);
  EXPECT_EQ(choose_bit(Choice::kAsym, 0), 0U);
}

TEST(AlgorithmChoice, WhatNoCapabilityUsesIsNotUsed) {
  using namespace wire;
  const std::uint32_t sessions = kSpdmCapEncrypt | kSpdmCapMac | kSpdmCapKeyEx;
  EXPECT_FALSE(algorithm_use(kSpdmCapMeasNoSig, sessions).base_hash);
  const AlgorithmUse none = algorithm_use(kSpdmCapCert | kSpdmCapChal, sessions);
  EXPECT_TRUE(none.base_hash && none.base_asym);
  EXPECT_FALSE(none.dhe || none.aead || none.key_schedule || none.req_base_asym);
  const AlgorithmUse session = algorithm_use(kSpdmCapCert | sessions, sessions);
  EXPECT_TRUE(session.dhe && session.aead && session.key_schedule);
  EXPECT_FALSE(session.req_base_asym);
  const AlgorithmUse psk = algorithm_use(kSpdmCapPsk | kSpdmCapMac, kSpdmCapPsk | kSpdmCapMac);
  EXPECT_TRUE(psk.base_hash && psk.aead && psk.key_schedule);
  EXPECT_FALSE(psk.dhe || psk.base_asym);
  EXPECT_TRUE(algorithm_use(kSpdmCapMutAuth, kSpdmCapMutAuth).req_base_asym);
  EXPECT_TRUE(algorithm_use(kSpdmCapCert, kSpdmCapEndpointInfoSig).req_base_asym);
  EXPECT_FALSE(algorithm_use(kSpdmCapCert, kSpdmCapEndpointInfoNoSig).req_base_asym);
}

}  // namespace
}  // namespace teeio::spdm
