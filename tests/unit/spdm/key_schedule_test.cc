#include "spdm/key_schedule.h"

#include <gtest/gtest.h>

#include "unit/crypto/hex.h"

// The expected values come from secured_vectors.py beside this file, which
// computes them with the OpenSSL command line.
namespace teeio::spdm {
namespace {

using crypto::Digest;
using crypto::HashAlgorithm;

Digest filled(std::size_t size, unsigned value) {
  Digest out(size);
  std::ranges::fill(out.writable(), static_cast<std::byte>(value));
  return out;
}

Bytes counting(std::size_t size) {
  Bytes out;
  for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<std::byte>(i));
  return out;
}

constexpr Derivation kSpdm12{0x12, HashAlgorithm::kSha384};

KeySchedule exchange() {
  return KeySchedule::from_exchange(kSpdm12, counting(48), filled(48, 0x11));
}

TEST(KeySchedule, DerivesHandshakeSecretsFromAnExchange) {
  const KeySchedule keys = exchange();
  EXPECT_EQ(to_hex(keys.handshake().requests.view()),
            "70076ced1e9b40e6de963b7ee93509d0ecbe311cddcac365d2c161316802d09f"
            "4e2f0cd88406afac67f32e0d3f31afe4");
  EXPECT_EQ(to_hex(keys.handshake().responses.view()),
            "9f7d296db61a531f099932652f69a32e53cefb77aa1f69ea626bb1ba56e8b06c"
            "d485f87b4dc41007a8e8ff4710101efa");
}

TEST(KeySchedule, AuthenticatesTheTranscriptWithEachSidesFinishedKey) {
  const KeySchedule keys = exchange();
  const Digest th = filled(48, 0x22);
  EXPECT_EQ(to_hex(keys.finished(Direction::kRequests, th)),
            "5b4b77be99d4c18ac36af2d481ee61f8e14a3a50a58ad5fccfea100026a58579"
            "550d6377fb989157e31fa0d626baf1d4");
  const Bytes responder =
      hex("cbc14f210547f3239d44ac9fdc292a3a5026dd0f3ced55b3a974f0c576f174c6"
          "e090130bfb7cbd0979f1a3ff6afd5ce1");
  EXPECT_TRUE(keys.is_finished(Direction::kResponses, th, responder));
  EXPECT_FALSE(keys.is_finished(Direction::kRequests, th, responder));
  EXPECT_FALSE(keys.is_finished(Direction::kResponses, filled(48, 0x23), responder));
  EXPECT_FALSE(keys.is_finished(Direction::kResponses, th, ByteView(responder).first(47)));
}

TEST(KeySchedule, DerivesDataSecretsAndTheExportMaster) {
  const KeySchedule::Data data = exchange().data(filled(48, 0x22));
  EXPECT_EQ(to_hex(data.secrets.requests.view()),
            "77966064c36c4f643d3b11561a3fbf7a1961aff1dd2d12ea2ea2d9aac10a8a06"
            "937ad5f783045ba08c0d1f987f5d0b87");
  EXPECT_EQ(to_hex(data.secrets.responses.view()),
            "9b9cdf67b9daf09c361ebe1261d0fec4b69777852aecdfdfb4d3657b7d913222"
            "abbf8ba07189035edfa5f9f8b632ff4c");
  EXPECT_EQ(to_hex(data.export_master.view()),
            "31f8f38c85ce7abfcd2c28225fd05386e8ce7949897e52a016a44e560df509f6"
            "c9885c3555b82e1f9530b623396a4010");
}

TEST(KeySchedule, GivesKeysAndIvsAndTheNextSecret) {
  const KeySchedule::Data data = exchange().data(filled(48, 0x22));
  const TrafficKey key =
      traffic_key(kSpdm12, crypto::AeadAlgorithm::kAes256Gcm, data.secrets.requests);
  EXPECT_EQ(to_hex(key.key.view()),
            "47a3926ba745b89224cd3459539900902e82f9b2c0b7f272eb49f00823d99d43");
  EXPECT_EQ(to_hex(key.iv.view()), "bfcbe52c8cb4336b4052c40b");
  EXPECT_EQ(
      traffic_key(kSpdm12, crypto::AeadAlgorithm::kAes128Gcm, data.secrets.requests).key.size(),
      16U);
  EXPECT_EQ(to_hex(updated_secret(kSpdm12, data.secrets.requests).view()),
            "7d00ddc54a6fd5cdc977c94acf7a9f642cb44ee0f3256327f4ff8c0667d65455"
            "89317749edac5c36bb0e0d2a91ef01f7");
}

// From 1.3 on a PSK has a salt of its own.
TEST(KeySchedule, DerivesFromAPskByVersion) {
  const auto secrets = [](std::uint8_t version) {
    const KeySchedule keys = KeySchedule::from_psk({version, HashAlgorithm::kSha256},
                                                   text("TestPskData"), filled(32, 0x33));
    return to_hex(keys.handshake().requests.view()) + " " +
           to_hex(keys.data(filled(32, 0x44)).secrets.responses.view());
  };
  EXPECT_EQ(secrets(0x13),
            "4f1a28d21bc11501aa9543a4f784997dc3dee4cb5d701ef69f631e646bc7972a "
            "300664fe84d4a76170c89fbef5020572adbd8bc9e588ff2c455ad5eb8c2ae643");
  EXPECT_EQ(secrets(0x11),
            "11a0586bf3578c45bc5c82b78c2271d47e74ad20b717f1fed0e3f95e13a73419 "
            "489b3fc7c662a7b0e186e7cdea3e167df60249b6db517cb2469232655a6f88e8");
}

}  // namespace
}  // namespace teeio::spdm
