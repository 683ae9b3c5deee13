#include "wire/spdm_pqc.h"

#include <gtest/gtest.h>

namespace teeio::wire {
namespace {

// FIPS 204, table 2; FIPS 205, table 2; FIPS 203, table 3.
TEST(SpdmPqc, HasTheSizesOfTheStandards) {
  EXPECT_EQ(spdm_pqc_signature_size(1), 2420U);
  EXPECT_EQ(spdm_pqc_signature_size(2), 3309U);
  EXPECT_EQ(spdm_pqc_signature_size(4), 4627U);
  EXPECT_EQ(spdm_pqc_signature_size(1U << 3U), 7856U);
  EXPECT_EQ(spdm_pqc_signature_size(1U << 14U), 49856U);
  EXPECT_EQ(spdm_kem_request_size(2), 1184U);
  EXPECT_EQ(spdm_kem_response_size(2), 1088U);
  EXPECT_EQ(spdm_kem_response_size(4), 1568U);
}

TEST(SpdmPqc, NamesWhatIsExactlyOneKnownBit) {
  EXPECT_EQ(spdm_pqc_asym_name(2), "ML-DSA-65");
  EXPECT_EQ(spdm_pqc_asym_name(1U << 4U), "SLH-DSA-SHAKE-128S");
  EXPECT_EQ(spdm_kem_name(1), "ML-KEM-512");
  EXPECT_EQ(spdm_pqc_asym_name(3), "");
  EXPECT_EQ(spdm_pqc_asym_name(1U << 15U), "");
  EXPECT_EQ(spdm_pqc_signature_size(0), 0U);
  EXPECT_EQ(spdm_kem_request_size(8), 0U);
}

}  // namespace
}  // namespace teeio::wire
