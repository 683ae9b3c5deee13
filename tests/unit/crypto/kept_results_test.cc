#include "crypto/kept_results.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "crypto/ec_public_key.h"
#include "crypto/identity.h"
#include "crypto/key_exchange.h"
#include "crypto/random.h"
#include "schedule/fiber_controller.h"
#include "schedule/strategy.h"
#include "schedule/task.h"
#include "unit/crypto/hex.h"

namespace teeio::crypto {
namespace {

class InOrder final : public schedule::Strategy {
 public:
  bool begin() override { return true; }
  std::uint32_t pick(const schedule::Moment&) override { return 0; }
  std::uint32_t choose(std::uint32_t) override { return 0; }
};

/// One explored run after the other.
class KeptResults : public testing::Test {
 protected:
  void run(const std::function<void()>& body) {
    const auto outcome = controller_.run(body);
    EXPECT_FALSE(outcome.finding) << outcome.finding->what;
  }

 private:
  InOrder strategy_;
  schedule::FiberController controller_{strategy_, {}};
};

constexpr auto kKept = SignatureAlgorithm::kEcdsaP384;
constexpr auto kSha = HashAlgorithm::kSha384;

/// What a run signs, exchanges and has in common with its peer.
struct Session {
  Bytes signature, ours, theirs, secret;
};

Session open_session(const PrivateKey& key, ByteView message) {
  const auto signature = key.sign(kKept, kSha, message);
  EXPECT_TRUE(signature && key.public_key().verify(kKept, kSha, message, *signature));
  const EphemeralKey ours = EphemeralKey::generate(KeyExchangeGroup::kP384);
  const EphemeralKey theirs = EphemeralKey::generate(KeyExchangeGroup::kP384);
  const auto secret = ours.derive(theirs.exchange_data());
  EXPECT_TRUE(secret && theirs.derive(ours.exchange_data())->view()[0] == secret->view()[0]);
  const auto bytes = [](ByteView view) { return Bytes(view.begin(), view.end()); };
  return {*signature, bytes(ours.exchange_data()), bytes(theirs.exchange_data()),
          bytes(secret->view())};
}

TEST_F(KeptResults, ASessionIsTheSameInEachRun) {
  const PrivateKey key = make_device_identity(1).device.key;
  const Bytes message(100, std::byte{7});
  Session first, second;
  run([&] { first = open_session(key, message); });
  run([&] { second = open_session(key, message); });
  EXPECT_EQ(first.signature, second.signature);
  EXPECT_EQ(first.ours, second.ours);
  EXPECT_EQ(first.theirs, second.theirs);
  EXPECT_EQ(first.secret, second.secret);
  EXPECT_NE(first.ours, first.theirs);
  // Natively each draw is another.
  EXPECT_NE(open_session(key, message).ours, open_session(key, message).ours);
}

TEST_F(KeptResults, AreNotComputedAgain) {
  int computed = 0;
  for (int i = 0; i < 2; ++i)
    run([&] {
      const Bytes made = detail::kept_or({detail::operation("once")}, [&] {
        ++computed;
        return Bytes(3, std::byte{9});
      });
      EXPECT_EQ(made, Bytes(3, std::byte{9}));
    });
  EXPECT_EQ(computed, 1);
}

// What no peer and no key would give.
TEST_F(KeptResults, OfASessionAreWhatItsOperationsGive) {
  const PrivateKey key = make_device_identity(1).device.key;
  const Bytes message(100, std::byte{7});
  const Bytes wrong(48, std::byte{0xab});
  run([&] {
    constexpr auto kGroup = KeyExchangeGroup::kP384;
    const EphemeralKey ours = EphemeralKey::generate(kGroup);
    const EphemeralKey theirs = EphemeralKey::generate(kGroup);
    detail::keep(hash(HashAlgorithm::kSha256, {detail::operation("derive"), bytes_of(kGroup),
                                               ours.exchange_data(), theirs.exchange_data()}),
                 wrong);
    const auto secret = ours.derive(theirs.exchange_data());
    ASSERT_TRUE(secret.has_value());
    EXPECT_TRUE(std::ranges::equal(secret->view(), wrong));
    EXPECT_FALSE(std::ranges::equal(theirs.derive(ours.exchange_data())->view(), wrong));
  });
  // A pair of keys by its seed, the first number that the run draws.
  run([] {
    constexpr auto kGroup = KeyExchangeGroup::kP521;
    (void)EphemeralKey::generate(kGroup);
  });
  run([] {
    constexpr auto kGroup = KeyExchangeGroup::kP521;
    std::uint64_t seed = 0;
    fill_random(writable_bytes_of(seed));
    ASSERT_TRUE(detail::keeps_objects());
    const detail::Handle<evp_pkey_st> kept(detail::kept_key(hash(
        HashAlgorithm::kSha256, {detail::operation("pair"), bytes_of(kGroup), bytes_of(seed)})));
    EXPECT_NE(kept, nullptr);
  });
  // A genuine signature that is kept as a forged one.
  run([&] {
    const Bytes signature = *key.sign(kKept, kSha, message);
    const Digest digest = hash(kSha, message);
    detail::keep(hash(HashAlgorithm::kSha256,
                      {detail::operation("verify"), bytes_of(kKept),
                       detail::point_of(key.public_key().handle()), signature, digest}),
                 Bytes(1, std::byte{0}));
    EXPECT_FALSE(key.public_key().verify(kKept, kSha, message, signature));
  });
}

TEST_F(KeptResults, AnswerForTheirOwnInputsOnly) {
  const Pki pki = make_device_identity(2);
  const PrivateKey& key = pki.device.key;
  const Bytes message(100, std::byte{7});
  for (int i = 0; i < 2; ++i)
    run([&] {
      const Bytes signature = *key.sign(kKept, kSha, message);
      EXPECT_TRUE(key.public_key().verify(kKept, kSha, message, signature));
      Bytes other = signature;
      other.back() ^= std::byte{1};
      EXPECT_FALSE(key.public_key().verify(kKept, kSha, message, other));
      const Bytes other_message(100, std::byte{8});
      EXPECT_FALSE(key.public_key().verify(kKept, kSha, other_message, signature));
      EXPECT_FALSE(pki.root_key.public_key().verify(kKept, kSha, message, signature));
      EXPECT_NE(*key.sign(kKept, kSha, message), signature);  // another draw
      const TrustAnchors ours(std::array{pki.device.chain.first()});
      EXPECT_TRUE(pki.device.chain.verify(ours));
      const Pki stranger = make_device_identity(3);
      EXPECT_FALSE(stranger.device.chain.verify(ours));
      const EphemeralKey pair = EphemeralKey::generate(KeyExchangeGroup::kP384);
      EXPECT_FALSE(pair.derive(Bytes(96, std::byte{1})));
    });
}

TEST_F(KeptResults, BeginAnewWhenTheyAreTooMany) {
  run([] {
    const auto inputs = [](std::size_t n) { return hash(kSha, bytes_of(n)); };
    for (std::size_t n = 0; n < detail::kMostKept; ++n) detail::keep(inputs(n), bytes_of(n));
    const std::size_t last = detail::kMostKept;
    detail::keep(inputs(last), bytes_of(last));
    EXPECT_EQ(detail::kept(inputs(0)), nullptr);
    ASSERT_NE(detail::kept(inputs(last)), nullptr);
    EXPECT_TRUE(std::ranges::equal(*detail::kept(inputs(last)), bytes_of(last)));
  });
}

TEST(KeptResultsNatively, AreNone) {
  EXPECT_FALSE(detail::keeps_results());
  int computed = 0;
  for (int i = 0; i < 2; ++i)
    (void)detail::kept_or({detail::operation("test")}, [&] {
      ++computed;
      return Bytes(1);
    });
  EXPECT_EQ(computed, 2);
}

// A sweep's runs: each in a process of its own, which is given what an earlier one computed.
TEST(KeptResultsNatively, AreForTheNextRunThatIsGivenThem) {
  const auto begin_alike = [] {
    schedule::set_seed(7);
    const EphemeralKey ours = EphemeralKey::generate(KeyExchangeGroup::kP384);
    const EphemeralKey theirs = EphemeralKey::generate(KeyExchangeGroup::kP384);
    const Secret secret = *ours.derive(theirs.exchange_data());
    return Bytes(secret.view().begin(), secret.view().end());
  };
  const auto is_kept = [&] {
    keep_for_next_runs();
    const Bytes secret = begin_alike();
    const bool all = results_for_next_runs().size() == 3;  // two pairs, and what they share
    return all && begin_alike() == secret && results_for_next_runs().empty();
  };
  const auto is_taken = [] {
    const Digest inputs = hash(HashAlgorithm::kSha256, {detail::operation("given")});
    take_result("r" + to_hex(inputs.view()) + " 2a");
    for (const char* none : {"", "r", "r 2a", "r2a 2a", "p4", "p99 1", "px 1", "? ?"})
      take_result(none);
    return detail::kept_or({detail::operation("given")}, [] { return Bytes(); }) ==
           Bytes(1, std::byte{0x2a});
  };
  // In a process of its own, for what is kept stays.
  EXPECT_EXIT(std::exit(is_kept() && is_taken() ? 0 : 1), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace teeio::crypto
