#include "spdm/secured_session.h"

#include <gtest/gtest.h>

#include "unit/crypto/hex.h"

namespace teeio::spdm {
namespace {

using crypto::AeadAlgorithm;
using crypto::HashAlgorithm;
using enum Direction;

constexpr std::uint8_t kOnTheWire[] = {0, 2, 8};  ///< bytes of the sequence number
constexpr Derivation kSpdm12{0x12, HashAlgorithm::kSha384};

Bytes counting(std::size_t size) {
  Bytes out;
  for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<std::byte>(i));
  return out;
}

/// As secured_vectors.py has it.
KeySchedule schedule() {
  crypto::Digest th1(48);
  std::ranges::fill(th1.writable(), std::byte{0x11});
  return KeySchedule::from_exchange(kSpdm12, counting(48), th1);
}

/// Both ends of one session.
struct Pair {
  explicit Pair(SessionConfig config = {})
      : requester(with(config, kRequests), schedule().handshake()),
        responder(with(config, kResponses), schedule().handshake()) {}

  static SessionConfig with(SessionConfig config, Direction sealing) {
    config.id = 0xfffeffff;
    config.sealing = sealing;
    config.derivation = kSpdm12;
    return config;
  }
  /// One message from requester to responder.
  Result<Bytes> send(std::string_view message) {
    TEEIO_ASSIGN(const Bytes record, requester.seal(text(message)));
    return responder.open(record);
  }
  Result<Bytes> answer(std::string_view message) {
    TEEIO_ASSIGN(const Bytes record, responder.seal(text(message)));
    return requester.open(record);
  }

  SecuredSession requester;
  SecuredSession responder;
};

bool is(const Result<Bytes>& opened, std::string_view message) {
  return opened.has_value() && std::ranges::equal(*opened, text(message));
}

constexpr std::string_view kFirst = "fffffeff170099b030fe8b965e3c902f13438ea6689bcb0aff99e9e874";

// Computed by secured_vectors.py beside this file: keys with `openssl kdf`, the
// cipher text with `openssl enc`, GHASH by itself.
TEST(SecuredSession, SealsTheRecordsThatOpenSslsCommandLineGives) {
  Pair doe;
  EXPECT_EQ(to_hex(*doe.requester.seal(text("first"))), kFirst);
  EXPECT_EQ(to_hex(*doe.requester.seal(text("second"))),
            "fffffeff18005014d06c3231584a7be8671916f41af402b3a24788521ce8");
  Pair mctp({.sequence_bytes = 2});
  (void)*mctp.requester.seal(text("first"));
  EXPECT_EQ(to_hex(*mctp.requester.seal(text("second"))),
            "fffffeff010018005014d06c3231584a73add195fd7666d09bd2b14c9e429c60");
}

TEST(SecuredSession, CarriesMessagesOfEverySizeAndCipher) {
  for (const auto aead :
       {AeadAlgorithm::kAes128Gcm, AeadAlgorithm::kAes256Gcm, AeadAlgorithm::kChaCha20Poly1305})
    for (const bool encrypted : {true, false})
      for (const std::uint8_t sequence_bytes : kOnTheWire) {
        Pair pair({.aead = aead, .sequence_bytes = sequence_bytes, .encrypted = encrypted});
        for (const std::size_t size : {0UL, 1UL, 16UL, 4096UL, 65'500UL}) {
          const std::string message(size, 'm');
          EXPECT_TRUE(is(pair.send(message), message)) << size;
          EXPECT_TRUE(is(pair.answer(message), message)) << size;
        }
      }
}

TEST(SecuredSession, OpensInPlaceWithAViewIntoTheRecord) {
  Pair pair;
  Bytes record = *pair.requester.seal(text("message"));
  EXPECT_EQ(record.size(), 7 + pair.requester.overhead());
  const auto opened = pair.responder.open_in_place(record);
  ASSERT_TRUE(opened);
  EXPECT_TRUE(std::ranges::equal(*opened, text("message")));
  EXPECT_GE(opened->data(), record.data());
  EXPECT_LE(opened->data() + opened->size(), record.data() + record.size());
}

TEST(SecuredSession, SealsBehindATransportsHeader) {
  Pair pair;
  Bytes packet = hex("0100020000000000");
  ASSERT_TRUE(pair.requester.seal_behind(packet, text("first")));
  EXPECT_EQ(to_hex(packet), "0100020000000000" + std::string(kFirst));
}

// DOE pads to DWORDs behind the record.
TEST(SecuredSession, IgnoresWhatIsBehindTheRecord) {
  Pair pair;
  Bytes record = *pair.requester.seal(text("message"));
  record.resize(record.size() + 3);
  EXPECT_TRUE(is(pair.responder.open(record), "message"));
}

TEST(SecuredSession, HidesTheLengthWithRandomBytes) {
  Pair pair({.sequence_bytes = 2, .max_padding = 32});
  std::size_t shortest = 1000;
  std::size_t longest = 0;
  for (int i = 0; i < 200; ++i) {
    const Bytes record = *pair.requester.seal(text("m"));
    shortest = std::min(shortest, record.size());
    longest = std::max(longest, record.size());
    EXPECT_TRUE(is(pair.responder.open(record), "m"));
  }
  const std::size_t bare = pair.requester.overhead() + 1;
  EXPECT_GT(shortest, bare);
  EXPECT_LE(longest, bare + 32);
  EXPECT_GT(longest, shortest + 16);
}

// Every byte but the padding behind it belongs to the record.
TEST(SecuredSession, RefusesARecordWithAnyByteChanged) {
  for (const bool encrypted : {true, false}) {
    Pair pair({.sequence_bytes = 2, .encrypted = encrypted});
    const Bytes record = *pair.requester.seal(text("message"));
    for (std::size_t i = 0; i < record.size(); ++i) {
      Bytes changed = record;
      changed[i] ^= std::byte{1};
      EXPECT_FALSE(pair.responder.open(changed)) << i;
    }
    EXPECT_TRUE(is(pair.responder.open(record), "message"));
  }
}

TEST(SecuredSession, SaysWhatIsWrongWithARecord) {
  Pair pair;
  const Bytes record = *pair.requester.seal(text("message"));
  Bytes changed = record;
  changed.back() ^= std::byte{1};
  EXPECT_EQ(pair.responder.open(changed).error().code, Errno::kAcces);
  changed = record;
  changed[0] ^= std::byte{1};
  EXPECT_EQ(pair.responder.open(changed).error().code, Errno::kInval);
  for (std::size_t size = 0; size < record.size(); ++size)
    EXPECT_EQ(pair.responder.open(ByteView(record).first(size)).error().code, Errno::kInval);
  // A length below the tag's.
  EXPECT_EQ(pair.responder.open(hex("fffffeff0f00" + std::string(64, '0'))).error().code,
            Errno::kInval);
}

TEST(SecuredSession, RefusesReplayedLostAndReorderedRecords) {
  for (const std::uint8_t sequence_bytes : kOnTheWire) {
    Pair pair({.sequence_bytes = sequence_bytes});
    const Bytes first = *pair.requester.seal(text("1"));
    const Bytes second = *pair.requester.seal(text("2"));
    EXPECT_FALSE(pair.responder.open(second));
    EXPECT_TRUE(is(pair.responder.open(first), "1"));
    EXPECT_FALSE(pair.responder.open(first));
    EXPECT_TRUE(is(pair.responder.open(second), "2"));
  }
}

// A record that is sent back to its sender is none of the other direction.
TEST(SecuredSession, RefusesAReflectedRecord) {
  Pair pair;
  const Bytes record = *pair.requester.seal(text("message"));
  EXPECT_EQ(pair.requester.open(record).error().code, Errno::kAcces);
}

TEST(SecuredSession, RefusesAMessageThatDoesNotFit) {
  Pair pair;
  EXPECT_EQ(pair.requester.seal(Bytes(65'518)).error().code, Errno::kMsgSize);
  EXPECT_EQ(pair.requester.sequence(kRequests), 0U);
  EXPECT_TRUE(pair.requester.seal(Bytes(65'517)));
}

// AEAD limits: the last number may be used, none after it, at either end.
TEST(SecuredSession, EndsWithItsSequenceNumbers) {
  Pair pair({.max_sequence = 1});
  EXPECT_TRUE(pair.send("0"));
  EXPECT_TRUE(pair.send("1"));
  EXPECT_EQ(pair.requester.seal(text("2")).error().code, Errno::kOverflow);
  Pair longer;
  for (int i = 0; i < 2; ++i) (void)*longer.requester.seal(text("m"));
  EXPECT_EQ(pair.responder.open(*longer.requester.seal(text("2"))).error().code, Errno::kOverflow);
}

TEST(SecuredSession, TakesTheDataSecretsFromSequenceZero) {
  Pair pair;
  EXPECT_TRUE(pair.send("finish"));
  const std::uint64_t handshake_key = pair.requester.key_digest(kRequests);
  const KeySchedule::Data data = schedule().data(crypto::Digest(48));
  pair.requester.install(data.secrets);
  EXPECT_EQ(pair.requester.sequence(kRequests), 0U);
  EXPECT_NE(pair.requester.key_digest(kRequests), handshake_key);
  EXPECT_EQ(pair.responder.open(*pair.requester.seal(text("early"))).error().code, Errno::kAcces);
  pair.requester.install(data.secrets);
  pair.responder.install(data.secrets);
  EXPECT_TRUE(is(pair.send("data"), "data"));
}

// DSP0274, "Key update": UpdateKey as the two ends see it.
TEST(SecuredSession, UpdatesOneDirectionAndKeepsTheOther) {
  Pair pair;
  EXPECT_TRUE(pair.send("UpdateKey"));
  const std::uint64_t old = pair.responder.key_digest(kRequests);
  ASSERT_TRUE(pair.responder.begin_update(kRequests));
  EXPECT_TRUE(is(pair.answer("ACK"), "ACK"));
  ASSERT_TRUE(pair.requester.begin_update(kRequests));
  EXPECT_TRUE(pair.responder.is_updating(kRequests));
  EXPECT_TRUE(is(pair.send("VerifyNewKey"), "VerifyNewKey"));
  EXPECT_FALSE(pair.responder.is_updating(kRequests));
  EXPECT_NE(pair.responder.key_digest(kRequests), old);
  EXPECT_EQ(pair.responder.key_digest(kRequests), pair.requester.key_digest(kRequests));
  pair.requester.commit_update(kRequests);
  EXPECT_TRUE(is(pair.send("more"), "more"));
}

// The answer was lost or an error: the peer goes on with the old key.
TEST(SecuredSession, GoesBackToTheOldKeyWhenThePeerStaysWithIt) {
  Pair pair;
  EXPECT_TRUE(pair.send("UpdateKey"));
  ASSERT_TRUE(pair.responder.begin_update(kRequests));
  EXPECT_EQ(pair.responder.begin_update(kRequests).error().code, Errno::kAlready);
  EXPECT_TRUE(is(pair.send("UpdateKey"), "UpdateKey"));
  EXPECT_FALSE(pair.responder.is_updating(kRequests));
  EXPECT_TRUE(is(pair.send("old still"), "old still"));
}

TEST(SecuredSession, RefusesADamagedRecordDuringAnUpdateAndKeepsBothKeys) {
  Pair pair;
  ASSERT_TRUE(pair.responder.begin_update(kRequests));
  Bytes damaged = *pair.requester.seal(text("m"));
  damaged.back() ^= std::byte{1};
  EXPECT_EQ(pair.responder.open(damaged).error().code, Errno::kAcces);
  EXPECT_TRUE(pair.responder.is_updating(kRequests));
}

// A replay under the old key, once the new one has been seen.
TEST(SecuredSession, OpensNothingUnderTheOldKeyAfterTheNew) {
  Pair pair;
  const Bytes held_back = *pair.requester.seal(text("held back"));
  ASSERT_TRUE(pair.requester.begin_update(kRequests));
  ASSERT_TRUE(pair.responder.begin_update(kRequests));
  EXPECT_TRUE(is(pair.send("new"), "new"));
  EXPECT_FALSE(pair.responder.open(held_back));
}

TEST(SecuredSession, TellsASessionsIdWithoutItsKeys) {
  EXPECT_EQ(*SecuredSession::session_id_of(hex("fffffeff1700")), 0xfffeffffU);
  EXPECT_EQ(SecuredSession::session_id_of(hex("fffffe")).error().code, Errno::kInval);
}

}  // namespace
}  // namespace teeio::spdm
