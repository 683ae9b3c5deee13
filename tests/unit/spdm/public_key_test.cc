// PUB_KEY_ID_CAP: requesters have the responder's public key, and get no certificates.
#include <gtest/gtest.h>

#include "crypto/key_exchange.h"
#include "spdm/suite.h"
#include "unit/spdm/ends.h"
#include "wire/spdm_measurements.h"
#include "wire/spdm_session.h"

namespace teeio::spdm {
namespace {

using crypto::SigningPurpose;
using wire::SpdmErrorCode;

/// Message A: what both say up to ALGORITHMS.
class Agreement final : public Observer {
 public:
  void received(std::uint32_t /*session*/, ByteView spdm) override { keep(spdm); }
  void sent(std::uint32_t /*session*/, ByteView spdm) override { keep(spdm); }
  Bytes bytes;

 private:
  void keep(ByteView spdm) { bytes.insert(bytes.end(), spdm.begin(), spdm.end()); }
};

/// A responder whose key is known, after ALGORITHMS.
class Connected {
 public:
  explicit Connected(std::uint8_t version, std::uint32_t flags = known_key_flags()) {
    auto asks = Ends::requester_config();
    asks.settings.versions = {version};
    asks.observer = &agreement_;
    auto answers = Ends::responder_config();
    answers.settings.flags = flags;
    Requester requester(std::move(asks));
    responder_.emplace(std::move(answers));
    requester.connect();
    while (const Message* request = requester.request()) {
      auto step = responder_->receive(view(*request));
      EXPECT_TRUE(requester.take(view(std::get<Message>(step))));
    }
    EXPECT_FALSE(requester.failure());
    message_a_ = agreement_.bytes;
    const Negotiated agreed = *responder_->negotiated();
    flags_ = agreed.own_flags;
    signing_ = {.version = agreed.version,
                .algorithm = *signature_of(agreed.algorithms.base_asym),
                .hash = *hash_of(agreed.algorithms.base_hash)};
    sizes_ = {.hash = 48,
              .signature = 96,
              .exchange_request = 96,
              .exchange_response = 96,
              .verify_data = 48};
  }

  static std::uint32_t known_key_flags() {
    return (default_responder_flags() & ~wire::kSpdmCapCert) | wire::kSpdmCapPubKeyId;
  }

  Bytes ask(ByteView request) {
    auto step = responder_->receive({false, request});
    const auto* answer = std::get_if<Message>(&step);
    return answer != nullptr ? answer->bytes : Bytes{};
  }
  std::optional<SpdmErrorCode> error_of(ByteView request) {
    const auto error = wire::SpdmError::decode(ask(request));
    return error ? std::optional(SpdmErrorCode{error->code}) : std::nullopt;
  }

  /// Whether `signature` is the known key's, over message A and `more`.
  bool signs(SigningPurpose purpose, ByteView signature, std::initializer_list<ByteView> more) {
    crypto::RunningHash transcript(signing_.hash);
    if (signing_.version >= wire::kSpdmVersion12 ||
        purpose != SigningPurpose::kResponderMeasurements)
      transcript.update(message_a_);
    for (const ByteView part : more) transcript.update(part);
    signing_.purpose = purpose;
    return key().verify_spdm(signing_, transcript.digest(), signature).has_value();
  }
  [[nodiscard]] Bytes key_hash() const {
    const crypto::Digest digest = crypto::hash(signing_.hash, key().der());
    return {digest.view().begin(), digest.view().end()};
  }
  static crypto::PublicKey key() { return pki().device.key.public_key(); }
  [[nodiscard]] std::uint32_t flags() const { return flags_; }
  [[nodiscard]] const wire::SpdmSizes& sizes() const { return sizes_; }

 private:
  Agreement agreement_;
  std::optional<Responder> responder_;
  Bytes message_a_;
  std::uint32_t flags_ = 0;
  crypto::SpdmSigning signing_;
  wire::SpdmSizes sizes_;
};

ByteView without(ByteView bytes, std::size_t size) { return bytes.first(bytes.size() - size); }

constexpr auto kVersions = {wire::kSpdmVersion10, wire::kSpdmVersion11, wire::kSpdmVersion12,
                            wire::kSpdmVersion13, wire::kSpdmVersion14};

TEST(PublicKey, ChallengeIsAnsweredByTheKeyThatIsKnown) {
  for (const std::uint8_t version : kVersions) {
    Connected peer(version);
    const wire::SpdmChallenge challenge{.version = version, .slot = 0xff};
    const Bytes request = challenge.encode();
    const Bytes bytes = peer.ask(request);
    const auto answer = wire::SpdmChallengeAuth::decode(bytes, peer.sizes());
    ASSERT_TRUE(answer) << int{version};
    EXPECT_EQ(answer->slot, 0xf);
    EXPECT_EQ(answer->slot_mask, 0);
    EXPECT_TRUE(std::ranges::equal(answer->chain_hash, peer.key_hash()));
    EXPECT_TRUE(peer.signs(SigningPurpose::kResponderChallengeAuth, answer->signature,
                           {request, without(bytes, 96)}));
  }
}

TEST(PublicKey, MeasurementsAreSignedByIt) {
  for (const std::uint8_t version : kVersions) {
    Connected peer(version);
    const wire::SpdmGetMeasurements asked{.version = version,
                                          .sign = true,
                                          .operation = wire::SpdmGetMeasurements::kAll,
                                          .slot = 0xf};
    const Bytes request = asked.encode();
    const Bytes bytes = peer.ask(request);
    const auto answer = wire::SpdmMeasurements::decode(bytes, peer.sizes());
    ASSERT_TRUE(answer) << int{version};
    EXPECT_TRUE(peer.signs(SigningPurpose::kResponderMeasurements, answer->signature,
                           {request, without(bytes, 96)}));
  }
}

TEST(PublicKey, ItsHashStandsForTheChainInKeyExchange) {
  for (const std::uint8_t version : {wire::kSpdmVersion11, wire::kSpdmVersion14}) {
    Connected peer(version);
    const auto ephemeral = crypto::EphemeralKey::generate(crypto::KeyExchangeGroup::kP384);
    const wire::SpdmKeyExchange wanted{.version = version,
                                       .slot = 0xff,
                                       .session_id = 0xffff,
                                       .exchange = ephemeral.exchange_data()};
    const Bytes request = wanted.encode();
    const Bytes bytes = peer.ask(request);
    const auto answer = wire::SpdmKeyExchangeRsp::decode(bytes, peer.sizes());
    ASSERT_TRUE(answer) << int{version};
    EXPECT_TRUE(peer.signs(SigningPurpose::kResponderKeyExchangeRsp, answer->signature,
                           {peer.key_hash(), request, without(bytes, 96 + 48)}));
  }
}

TEST(PublicKey, ThereAreNoSlotsBesideIt) {
  Connected peer(wire::kSpdmVersion12);
  EXPECT_EQ(peer.flags() & (wire::kSpdmCapCert | wire::kSpdmCapPubKeyId), wire::kSpdmCapPubKeyId);
  EXPECT_EQ(peer.error_of(wire::SpdmGetDigests{}.encode()), SpdmErrorCode::kUnsupportedRequest);
  EXPECT_EQ(peer.error_of(wire::SpdmChallenge{.slot = 0}.encode()), SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(peer.error_of(wire::SpdmGetMeasurements{.sign = true, .operation = 1}.encode()),
            SpdmErrorCode::kInvalidRequest);
}

TEST(PublicKey, WithCertificatesNoKeyIsKnown) {
  Connected peer(wire::kSpdmVersion12, default_responder_flags());
  EXPECT_EQ(peer.error_of(wire::SpdmChallenge{.slot = 0xff}.encode()),
            SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(
      peer.error_of(wire::SpdmGetMeasurements{.sign = true, .operation = 1, .slot = 0xf}.encode()),
      SpdmErrorCode::kInvalidRequest);
}

}  // namespace
}  // namespace teeio::spdm
