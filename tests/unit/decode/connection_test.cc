#include "decode/connection.h"

#include <gtest/gtest.h>

#include "wire/spdm_algorithms.h"
#include "wire/spdm_measurements.h"
#include "wire/spdm_pqc.h"

namespace teeio::decode {
namespace {

// Nothing here needs an OpenSSL that can sign so.
TEST(Connection, SizesPostQuantumFields) {
  Connection connection;
  wire::SpdmAlgorithms chosen;
  chosen.version = wire::kSpdmVersion14;
  chosen.base_hash = 2;
  chosen.pqc_asym = 2;
  chosen.tables.kem = std::uint16_t{2};
  chosen.tables.req_pqc_asym = std::uint16_t{4};
  connection.observe(chosen.encode(), false);
  wire::SpdmChallenge challenge;
  challenge.version = wire::kSpdmVersion14;
  connection.observe(challenge.encode(), false);
  const auto sizes = connection.sizes_for(challenge.encode(), false);
  EXPECT_EQ(sizes.signature, 3309U);
  EXPECT_EQ(sizes.exchange_request, 1184U);
  EXPECT_EQ(sizes.exchange_response, 1088U);
  EXPECT_EQ(connection.sizes_for(challenge.encode(), true).signature, 4627U);
}

}  // namespace
}  // namespace teeio::decode
