#include "decode/connection.h"

#include <gtest/gtest.h>

#include <utility>

#include "wire/spdm_algorithms.h"
#include "wire/spdm_pqc.h"

namespace teeio::decode {
namespace {

constexpr wire::SpdmHeader kChallenge{.version = wire::kSpdmVersion14,
                                      .code = std::to_underlying(wire::SpdmCode::kChallenge)};

// Nothing here needs an OpenSSL that can sign so.
TEST(Connection, SizesPostQuantumFields) {
  Connection connection;
  wire::SpdmAlgorithms chosen;
  chosen.version = wire::kSpdmVersion14;
  chosen.base_hash = 2;
  chosen.pqc_asym = 2;
  chosen.tables.kem = std::uint16_t{2};
  chosen.tables.req_pqc_asym = std::uint16_t{4};
  connection.observe(chosen, false);
  connection.observe(kChallenge, false);
  const auto sizes = connection.sizes_for(kChallenge, wire::SpdmHeader::kSize, false);
  EXPECT_EQ(sizes.signature, 3309U);
  EXPECT_EQ(sizes.exchange_request, 1184U);
  EXPECT_EQ(sizes.exchange_response, 1088U);
  EXPECT_EQ(connection.sizes_for(kChallenge, wire::SpdmHeader::kSize, true).signature, 4627U);
}

}  // namespace
}  // namespace teeio::decode
