// What the example guest makes of evidence, with evidence of a real card.
#include "../../../examples/guest/evidence.cc"  // NOLINT: freestanding code, tested here
#include "../../../examples/guest/evidence.h"
#include "../../../examples/guest/sha384.cc"  // NOLINT
#include "crypto/hash.h"
#include "dsm_fixture.h"
#include "spdm/channel_setup.h"

namespace teeio::device::testing {
namespace {

constexpr unsigned char kNonce[32] = {1, 2, 3};

const unsigned char* plain(const Bytes& bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

TEST(GuestSha384, IsThatOfTheLibraryAtEveryLengthAroundABlock) {
  for (std::size_t size = 0; size < 260; ++size) {
    const Bytes data(size, std::byte{0x61});
    const auto digest = sha384::of(plain(data), size);
    const auto expected = crypto::hash(crypto::HashAlgorithm::kSha384, data);
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(digest.bytes)), expected.view()))
        << size;
  }
}

class GuestEvidence : public ::testing::Test {
 protected:
  GuestEvidence() {
    DsmSpdm spdm;
    spdm.sessions = true;
    Dsm dsm(trace, Bdf{0, 1, 0, 0}, config, 1, spdm);
    const auto firmware =
        spdm::make_requester({.sessions = true, .settings = {}}, /*observer=*/nullptr);
    while (const auto object = firmware->connect_request())
      if (!firmware->connect_response(dsm.answer(*object))) break;
    std::array<std::byte, 32> nonce{};
    std::ranges::copy(std::as_bytes(std::span(kNonce)), nonce.begin());
    while (const auto object = firmware->measure_request(nonce))
      if (!firmware->measure_response(dsm.answer(*object))) break;
    if (firmware->evidence() != nullptr) good = spdm::encode_evidence(*firmware->evidence());
  }
  static Evidence read(const Bytes& bytes) { return {plain(bytes), bytes.size()}; }
  static sha384::Digest digest_of(std::string_view text) {
    return sha384::of(reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }

  object::Trace trace;
  hw::ConfigSpace config;
  Bytes good;
};

TEST_F(GuestEvidence, OfACardPassesEveryCheck) {
  const Evidence evidence = read(good);
  ASSERT_TRUE(evidence.well_formed());
  EXPECT_TRUE(evidence.names_its_root());
  EXPECT_TRUE(evidence.is_fresh(kNonce));
  EXPECT_TRUE(evidence.has_measurement(digest_of("teeio dma-engine firmware 1.0")));
}

TEST_F(GuestEvidence, WithoutAPartIsIllFormed) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{47}, good.size() - 1})
    EXPECT_FALSE(
        read(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))).well_formed());
  Bytes longer = good;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(read(longer).well_formed());
}

TEST_F(GuestEvidence, ForAnotherNonceIsOld) {
  constexpr unsigned char other[32] = {3, 2, 1};
  EXPECT_FALSE(read(good).is_fresh(other));
  // A host that only claims the nonce changes nothing of what was signed.
  Bytes forged = good;
  std::ranges::copy(std::as_bytes(std::span(other)), forged.begin() + 16);
  EXPECT_FALSE(read(forged).is_fresh(other));
}

TEST_F(GuestEvidence, WithAnotherRootOrFirmwareIsNotTheDevice) {
  Bytes forged = good;
  forged.at(48 + 4 + 48 + 100) ^= std::byte{1};  // in the first certificate
  EXPECT_FALSE(read(forged).names_its_root());
  EXPECT_FALSE(read(good).has_measurement(digest_of("teeio dma-engine firmware 0.9")));
}

}  // namespace
}  // namespace teeio::device::testing
