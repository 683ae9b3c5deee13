#include "serve/knobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"

namespace teeio::serve {
namespace {

TEST(Knobs, VersionsAreSortedAndEachThereOnce) {
  EXPECT_THAT(*parse_versions({"1.3", "1.1", "1.3"}), testing::ElementsAre(0x11, 0x13));
  for (const char* word : {"1.5", "2.0", "1", "1.2 ", "1.22", ""})
    EXPECT_FALSE(parse_versions({word})) << word;
}

TEST(Knobs, CapabilitiesAreChangesOrAWholeSet) {
  const std::uint32_t defaults = spdm::default_responder_flags();
  EXPECT_EQ(parse_capabilities({"-CHUNK"})->flags, defaults & ~wire::kSpdmCapChunk);
  EXPECT_EQ(parse_capabilities({"MEAS_NO_SIG"})->flags, wire::kSpdmCapMeasNoSig);
  EXPECT_EQ(parse_capabilities({"+PSK_CONTEXT"})->flags & wire::kSpdmCapPsk, 0U);
  EXPECT_FALSE(parse_capabilities({"CERT", "-CHAL"}));
  EXPECT_EQ(parse_capabilities({"+PUB_KEY_ID"})->flags,
            (defaults & ~wire::kSpdmCapCert) | wire::kSpdmCapPubKeyId);
  EXPECT_EQ(parse_capabilities({"+PUB_KEY_ID", "+CERT"})->flags, defaults);
  EXPECT_EQ(parse_capabilities({"+CERT_RESET"}).error(),
            "nothing here answers what CERT_RESET announces: what is set counts at once, "
            "without a reset");
  EXPECT_EQ(parse_capabilities({"+CACHE"})->flags, defaults | wire::kSpdmCapCache);
  EXPECT_FALSE(parse_capabilities({"-CERT"}));  // CHAL needs it
  EXPECT_TRUE(parse_capabilities({"-CACHE"}));
  EXPECT_TRUE(parse_capabilities({"+EVENT", "+SET_KEY_PAIR"}));
  EXPECT_EQ(parse_capabilities({"+SLOT_MGMT"})->flags, defaults);
  EXPECT_EQ(parse_capabilities({"+SLOT_MGMT"})->extended, wire::kSpdmExtendedCapSlotManagement);
  EXPECT_EQ(parse_capabilities({"+SLOT_MGMT", "-SLOT_MGMT"})->extended, 0);
  EXPECT_EQ(parse_capabilities({"+MULTI_KEY_NEG"}).error(),
            "these capabilities do not go together: they need GET_KEY_PAIR, or to be without "
            "MULTI_KEY_NEG");
  EXPECT_EQ(parse_capabilities({"CERT", "MEAS_SIG", "MEAS_NO_SIG"}).error(),
            "these capabilities do not go together: leave out MEAS_NO_SIG, MEAS_SIG (one of "
            "these)");
  EXPECT_EQ(parse_capabilities({"CERT", "KEY_EX"}).error(),
            "these capabilities do not go together: they need ENCRYPT, MAC (one of these), or to "
            "be without KEY_EX");
  EXPECT_EQ(parse_capabilities({"CHAL", "MEAS_FRESH"}).error(),
            "these capabilities do not go together: MEAS_FRESH needs others");
}

TEST(Knobs, AlgorithmsLimitTheirKindsOnly) {
  const spdm::Algorithms all = available_algorithms(true);
  const auto chosen = parse_algorithms(all, {"SHA-256", "SHA-512", "ECDSA-P256"});
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->base_hash, std::to_underlying(wire::SpdmHash::kSha256) |
                                   std::to_underlying(wire::SpdmHash::kSha512));
  EXPECT_EQ(chosen->base_asym, std::to_underlying(wire::SpdmAsym::kEcdsaP256));
  EXPECT_EQ(chosen->dhe, all.dhe);
  EXPECT_FALSE(parse_algorithms(available_algorithms(false), {"RSASSA-3072"}));
}

}  // namespace
}  // namespace teeio::serve
