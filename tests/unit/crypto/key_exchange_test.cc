#include "crypto/key_exchange.h"

#include <gtest/gtest.h>

#include "crypto/random.h"
#include "unit/crypto/hex.h"

namespace teeio::crypto {
namespace {

using enum KeyExchangeGroup;
constexpr KeyExchangeGroup kAll[] = {kFfdhe2048, kFfdhe3072, kFfdhe4096, kP256, kP384, kP521};

TEST(KeyExchange, BothSidesDeriveOneSecret) {
  for (const KeyExchangeGroup group : kAll) {
    const EphemeralKey one = EphemeralKey::generate(group);
    const EphemeralKey other = EphemeralKey::generate(group);
    ASSERT_EQ(one.exchange_data().size(), exchange_data_size(group));
    const auto secret = one.derive(other.exchange_data());
    const auto same = other.derive(one.exchange_data());
    ASSERT_TRUE(secret && same);
    EXPECT_TRUE(std::ranges::equal(secret->view(), same->view()));
    EXPECT_EQ(secret->size(),
              group >= kP256 ? exchange_data_size(group) / 2 : exchange_data_size(group));
  }
}

TEST(KeyExchange, RefusesExchangeDataOfAnotherSize) {
  const EphemeralKey key = EphemeralKey::generate(kP256);
  EXPECT_EQ(key.derive({}).error().code, Errno::kInval);
  EXPECT_EQ(key.derive(EphemeralKey::generate(kP384).exchange_data()).error().code, Errno::kInval);
}

// An invalid-curve attack: the point satisfies another equation.
TEST(KeyExchange, RefusesAPointThatIsNotOnTheCurve) {
  for (const KeyExchangeGroup group : {kP256, kP384, kP521}) {
    const EphemeralKey key = EphemeralKey::generate(group);
    Bytes peer(key.exchange_data().begin(), key.exchange_data().end());
    peer.back() ^= std::byte{1};
    EXPECT_EQ(key.derive(peer).error().code, Errno::kInval);
    EXPECT_EQ(key.derive(Bytes(peer.size())).error().code, Errno::kInval);
  }
}

// RFC 7919, 5.1: 1 < y < p - 1, or the secret is known to all.
TEST(KeyExchange, RefusesDegeneratePublicValues) {
  const EphemeralKey key = EphemeralKey::generate(kFfdhe2048);
  Bytes peer(exchange_data_size(kFfdhe2048));
  EXPECT_EQ(key.derive(peer).error().code, Errno::kInval);
  peer.back() = std::byte{1};
  EXPECT_EQ(key.derive(peer).error().code, Errno::kInval);
  EXPECT_EQ(key.derive(Bytes(peer.size(), std::byte{0xff})).error().code, Errno::kInval);
}

TEST(KeyExchange, IsReproducibleUnderASeed) {
  const auto draw = [] {
    const SeededRandom seeded(5);
    const EphemeralKey key = EphemeralKey::generate(kP384);
    return Bytes(key.exchange_data().begin(), key.exchange_data().end());
  };
  EXPECT_EQ(draw(), draw());
}

}  // namespace
}  // namespace teeio::crypto
