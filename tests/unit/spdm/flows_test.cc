// Every version, transport and algorithm through everything that a connection can do.
#include <gtest/gtest.h>

#include <tuple>

#include "crypto/dmtf_oids.h"
#include "crypto/issue.h"
#include "crypto/random.h"
#include "unit/spdm/ends.h"
#include "wire/spdm_measurements.h"

namespace teeio::spdm {
namespace {

using crypto::KeyType;
using wire::SpdmCap;

RequesterConfig at_version(RequesterConfig config, std::uint8_t version) {
  config.settings.versions = {version};
  return config;
}

void expect_ok(const Result<void>& result, std::string_view what) {
  EXPECT_TRUE(result.has_value()) << what << ": " << (result ? "" : result.error().why);
}

class EveryVersion : public ::testing::TestWithParam<std::uint8_t> {};

TEST_P(EveryVersion, AuthenticatesAndMeasuresWithoutASession) {
  Ends ends(at_version(Ends::requester_config(), GetParam()), Ends::responder_config());
  ends.requester.connect();
  ends.requester.get_certificates(0);
  ends.requester.challenge(0, MeasurementSummary::kAll);
  expect_ok(ends.run(), "challenge");
  EXPECT_EQ(ends.requester.measurement_summary().size(), 48U);
  ends.requester.get_certificates(0);
  ends.requester.challenge(0);
  expect_ok(ends.run(), "second challenge");
  ends.requester.measure({.index = 0, .sign = false});
  expect_ok(ends.run(), "count");
  EXPECT_EQ(ends.requester.measurement_record().count, 3);
  ends.requester.measure({.index = 1, .sign = false, .raw = false});
  ends.requester.measure({.index = 2, .sign = false});
  ends.requester.measure({.index = 5, .sign = true});
  expect_ok(ends.run(), "one by one");
  const auto& record = ends.requester.measurement_record();
  EXPECT_FALSE(record.signature.empty());
  EXPECT_FALSE(record.transcript.empty());
  ends.requester.measure({.index = 0xff, .sign = true});
  expect_ok(ends.run(), "all");
  EXPECT_EQ(ends.requester.measurement_record().count, 3);
}

TEST_P(EveryVersion, MeasuresAnewAfterAnIndexThatIsNotThere) {
  Ends ends(at_version(Ends::requester_config(), GetParam()), Ends::responder_config());
  ends.requester.connect();
  ends.requester.get_certificates(0);
  ends.requester.measure({.index = 1, .sign = false});
  expect_ok(ends.run(), "first");
  ends.requester.measure({.index = 3, .sign = false});
  EXPECT_EQ(ends.run().error().code, Errno::kIo);
  EXPECT_EQ(ends.requester.last_error()->code,
            std::to_underlying(wire::SpdmErrorCode::kInvalidRequest));
  ends.requester.measure({.index = 2, .sign = true});
  expect_ok(ends.run(), "signed");
}

INSTANTIATE_TEST_SUITE_P(Spdm, EveryVersion, ::testing::Values(0x10, 0x11, 0x12, 0x13, 0x14));

/// Version, transport, handshake in the clear, mutual authentication.
using SessionKind = std::tuple<std::uint8_t, Transport, bool, bool>;
class EverySession : public ::testing::TestWithParam<SessionKind> {};

TEST_P(EverySession, LivesItsWholeLife) {
  const auto [version, transport, clear, mutual] = GetParam();
  RequesterConfig theirs = at_version(Ends::requester_config(), version);
  ResponderConfig ours = Ends::responder_config();
  theirs.settings.transport = ours.settings.transport = transport;
  theirs.settings.flags = default_requester_flags();
  ours.settings.flags = default_responder_flags();
  ours.heartbeat_period_s = 10;
  if (clear) {
    theirs.settings.flags |= wire::kSpdmCapHandshakeInTheClear;
    ours.settings.flags |= wire::kSpdmCapHandshakeInTheClear;
  }
  if (mutual) {
    theirs.credentials = ours.credentials;
    theirs.settings.flags |=
        wire::kSpdmCapCert | wire::kSpdmCapChal | wire::kSpdmCapMutAuth | wire::kSpdmCapEncap;
    ours.settings.flags |= wire::kSpdmCapMutAuth | wire::kSpdmCapEncap;
    ours.mutual_auth = MutualAuth::kRequired;
  }
  Ends ends(std::move(theirs), std::move(ours));
  const auto session = ends.open_session({.summary = MeasurementSummary::kTcb});
  ASSERT_TRUE(session.has_value()) << session.error().why;
  for (int i = 0; i < 3; ++i) {
    const auto answer = ends.ask(*session, bytes("question"));
    ASSERT_TRUE(answer.has_value()) << answer.error().why;
    EXPECT_EQ(*answer, bytes("question"));
  }
  Requester& requester = ends.requester;
  requester.get_certificates(0, *session);
  expect_ok(ends.run(), "certificates in session");
  requester.measure({.session = *session, .index = 1, .sign = false});
  requester.measure({.session = *session, .index = 0xff});
  expect_ok(ends.run(), "measurements in session");
  requester.heartbeat(*session);
  expect_ok(ends.run(), "heartbeat");
  for (const auto which : {Requester::KeyUpdate::kRequester, Requester::KeyUpdate::kAll,
                           Requester::KeyUpdate::kAll, Requester::KeyUpdate::kRequester}) {
    requester.update_keys(*session, which);
    expect_ok(ends.run(), "key update");
    EXPECT_TRUE(ends.ask(*session, bytes("after update")).has_value());
  }
  if (mutual) {
    ASSERT_TRUE(ends.responder.start_encapsulated(Responder::Encapsulated::kKeyUpdate, *session));
    requester.answer_encapsulated(*session);
    expect_ok(ends.run(), "the responder's key update");
    EXPECT_TRUE(ends.ask(*session, bytes("after its update")).has_value());
  }
  // A second session beside the first.
  requester.open_session({});
  expect_ok(ends.run(), "second session");
  const auto second = requester.last_session();
  ASSERT_TRUE(second.has_value());
  EXPECT_NE(*second, *session);
  EXPECT_TRUE(ends.ask(*session, bytes("first")).has_value());
  EXPECT_TRUE(ends.ask(*second, bytes("second")).has_value());
  requester.end_session(*session);
  requester.end_session(*second);
  expect_ok(ends.run(), "end");
  EXPECT_EQ(ends.responder_saw.started.size(), 2U);
  EXPECT_EQ(ends.responder_saw.ended.size(), 2U);
}

INSTANTIATE_TEST_SUITE_P(Spdm, EverySession,
                         ::testing::Combine(::testing::Values(0x11, 0x12, 0x13, 0x14),
                                            ::testing::Values(Transport::kPciDoe, Transport::kMctp,
                                                              Transport::kTcp),
                                            ::testing::Bool(), ::testing::Bool()));

class EveryPsk : public ::testing::TestWithParam<std::tuple<std::uint8_t, bool>> {};

TEST_P(EveryPsk, OpensASession) {
  const auto [version, with_context] = GetParam();
  RequesterConfig theirs = at_version(Ends::requester_config(), version);
  ResponderConfig ours = Ends::responder_config();
  const Psk psk{bytes("hint"), bytes("the pre-shared key")};
  ours.psks = {{bytes("another"), bytes("key")}, psk};
  ours.settings.flags = default_responder_flags() & ~wire::kSpdmCapPsk;
  ours.settings.flags |= with_context ? wire::kSpdmCapPskWithContext : wire::kSpdmCapPsk;
  Ends ends(std::move(theirs), std::move(ours));
  ends.requester.connect();
  ends.requester.open_psk_session(psk, MeasurementSummary::kAll);
  expect_ok(ends.run(), "psk");
  const auto session = ends.requester.last_session();
  ASSERT_TRUE(session.has_value());
  EXPECT_TRUE(ends.ask(*session, bytes("hello")).has_value());
  ends.requester.update_keys(*session, Requester::KeyUpdate::kAll);
  ends.requester.end_session(*session);
  expect_ok(ends.run(), "update and end");

  ends.requester.open_psk_session({psk.hint, bytes("a wrong key")});
  EXPECT_FALSE(ends.run().has_value());
  ends.requester.open_psk_session({bytes("unknown"), psk.key});
  EXPECT_EQ(ends.run().error().code, Errno::kIo);
}

INSTANTIATE_TEST_SUITE_P(Spdm, EveryPsk,
                         ::testing::Combine(::testing::Values(0x11, 0x12, 0x13, 0x14),
                                            ::testing::Bool()));

struct Set {
  KeyType key;
  wire::SpdmAsym asym;
  wire::SpdmHash hash;
  wire::SpdmDhe dhe;
  wire::SpdmAead aead;
};
class EveryAlgorithm : public ::testing::TestWithParam<Set> {};

TEST_P(EveryAlgorithm, AuthenticatesAndOpensASession) {
  const Set& set = GetParam();
  for (const std::uint8_t version : std::initializer_list<std::uint8_t>{0x11, 0x12, 0x14}) {
    // EdDSA came with 1.2's way of signing.
    if (version == 0x11 && set.asym == wire::SpdmAsym::kEd25519) continue;
    RequesterConfig theirs = at_version(Ends::requester_config(set.key), version);
    ResponderConfig ours = Ends::responder_config(set.key);
    theirs.settings.algorithms = Algorithms::all();
    theirs.settings.algorithms.base_asym = std::to_underlying(set.asym);
    theirs.settings.algorithms.base_hash = std::to_underlying(set.hash);
    theirs.settings.algorithms.dhe = std::to_underlying(set.dhe);
    theirs.settings.algorithms.aead = std::to_underlying(set.aead);
    ours.settings.algorithms = Algorithms::all();
    Ends ends(std::move(theirs), std::move(ours));
    const auto session = ends.open_session();
    ASSERT_TRUE(session.has_value()) << session.error().why;
    EXPECT_TRUE(ends.ask(*session, bytes("hello")).has_value());
    ends.requester.get_certificates(0);
    ends.requester.challenge(0, MeasurementSummary::kAll);
    ends.requester.measure({});
    expect_ok(ends.run(), "challenge and measurements");
  }
}

using A = wire::SpdmAsym;
using H = wire::SpdmHash;
using D = wire::SpdmDhe;
using C = wire::SpdmAead;

// Its bits are reserved before 1.2: nobody sends them, and who gets them looks away.
TEST(EdDsa, IsNoneBefore12) {
  constexpr std::uint32_t kBit = std::to_underlying(wire::SpdmAsym::kEd25519);
  for (const std::uint8_t version : std::initializer_list<std::uint8_t>{0x10, 0x11, 0x12}) {
    RequesterConfig theirs = at_version(Ends::requester_config(KeyType::kEd25519), version);
    ResponderConfig ours = Ends::responder_config(KeyType::kEd25519);
    theirs.settings.algorithms = ours.settings.algorithms = Algorithms::all();
    Ends ends(std::move(theirs), std::move(ours));
    std::uint32_t offered = 0;
    std::uint32_t chosen = 0;
    ends.bend_request = [&](Message& message) {
      const auto request = wire::SpdmNegotiateAlgorithms::decode(message.bytes);
      if (!request) return;
      offered = request->offer.base_asym;
      constexpr std::size_t kBaseAsym = 8;
      message.bytes.at(kBaseAsym + 1) |= std::byte{kBit >> 8U};
    };
    ends.bend_answer = [&](Message& message) {
      if (const auto answer = wire::SpdmAlgorithms::decode(message.bytes))
        chosen = answer->base_asym;
    };
    ends.requester.connect();
    const bool agreed = ends.run().has_value();
    EXPECT_NE(offered & 0x1ffU, 0U);
    EXPECT_EQ(offered & kBit, version < 0x12 ? 0 : kBit) << unsigned{version};
    EXPECT_EQ(chosen, version < 0x12 ? 0 : kBit) << unsigned{version};
    EXPECT_EQ(agreed, version == 0x12);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Spdm, EveryAlgorithm,
    ::testing::Values(
        Set{KeyType::kP256, A::kEcdsaP256, H::kSha256, D::kSecp256r1, C::kAes128Gcm},
        Set{KeyType::kP384, A::kEcdsaP384, H::kSha384, D::kSecp384r1, C::kAes256Gcm},
        Set{KeyType::kP521, A::kEcdsaP521, H::kSha512, D::kSecp521r1, C::kChaCha20Poly1305},
        Set{KeyType::kRsa2048, A::kRsaSsa2048, H::kSha256, D::kFfdhe2048, C::kAes128Gcm},
        Set{KeyType::kRsa3072, A::kRsaPss3072, H::kSha384, D::kFfdhe3072, C::kAes256Gcm},
        Set{KeyType::kRsa2048, A::kRsaPss2048, H::kSha3_256, D::kSecp256r1, C::kAes256Gcm},
        Set{KeyType::kEd25519, A::kEd25519, H::kSha512, D::kSecp384r1, C::kChaCha20Poly1305},
        Set{KeyType::kP384, A::kEcdsaP384, H::kSha3_384, D::kSecp521r1, C::kAes256Gcm},
        Set{KeyType::kP256, A::kEcdsaP256, H::kSha3_512, D::kFfdhe4096, C::kAes128Gcm}));

TEST(SpdmFlow, BasicMutualAuthenticationChallengesBack) {
  for (const std::uint8_t version : std::initializer_list<std::uint8_t>{0x11, 0x12, 0x13}) {
    RequesterConfig theirs = at_version(Ends::requester_config(), version);
    ResponderConfig ours = Ends::responder_config();
    theirs.credentials = ours.credentials;
    theirs.settings.flags = default_requester_flags() | wire::kSpdmCapCert | wire::kSpdmCapChal |
                            wire::kSpdmCapMutAuth | wire::kSpdmCapEncap;
    ours.settings.flags = default_responder_flags() | wire::kSpdmCapMutAuth | wire::kSpdmCapEncap;
    ours.mutual_auth = MutualAuth::kOptional;
    Ends ends(std::move(theirs), std::move(ours));
    ends.requester.connect();
    ends.requester.get_certificates(0);
    ends.requester.challenge(0);
    expect_ok(ends.run(), "challenge");
    EXPECT_EQ(ends.responder_saw.names.back(), ">ENCAPSULATED_RESPONSE_ACK");
  }
}

TEST(SpdmFlow, LargeMessagesTravelInChunks) {
  for (const std::uint8_t version : std::initializer_list<std::uint8_t>{0x12, 0x13, 0x14}) {
    RequesterConfig theirs = at_version(Ends::requester_config(), version);
    ResponderConfig ours = Ends::responder_config();
    theirs.settings.data_transfer_size = ours.settings.data_transfer_size = 200;
    theirs.settings.max_message_size = ours.settings.max_message_size = 0x8000;
    Ends ends(std::move(theirs), std::move(ours));
    const auto session = ends.open_session({.summary = MeasurementSummary::kAll});
    ASSERT_TRUE(session.has_value()) << session.error().why;
    const Bytes large(0x4321, std::byte{7});
    const auto answer = ends.ask(*session, large);
    ASSERT_TRUE(answer.has_value()) << answer.error().why;
    EXPECT_EQ(*answer, large);
    // In the clear, where the transport pads.
    EXPECT_EQ(ends.ask(kNoSession, large).value(), large);
    const Bytes too_large(0x8001);
    EXPECT_EQ(ends.ask(*session, too_large).error().code, Errno::kTooBig);
    ends.requester.get_extension_log(kNoSession);
    if (version >= 0x13) {
      expect_ok(ends.run(), "log");
      EXPECT_FALSE(ends.requester.extension_log().empty());
    }
  }
}

TEST(SpdmFlow, AnswersThatAreNotReadyAreFetchedLater) {
  ResponderConfig ours = Ends::responder_config();
  ours.defer_signatures = true;
  Ends ends(Ends::requester_config(), std::move(ours));
  const auto session = ends.open_session();
  ASSERT_TRUE(session.has_value()) << session.error().why;
  ends.requester.get_certificates(0);
  ends.requester.challenge(0);
  ends.requester.measure({.session = *session});
  expect_ok(ends.run(), "challenge and measurements");
}

/// A device that is given other firmware once it was asked.
class Updated final : public MeasurementSource {
 public:
  [[nodiscard]] std::vector<Measurement> measurements() override {
    const bool first = asked_++ == 0;
    return {{.index = 1, .value = bytes("rom")},
            {.index = 2, .type = 1, .value = bytes(first ? "firmware" : "other firmware")}};
  }

 private:
  unsigned asked_ = 0;
};

/// DSP0274 1.2, MEASUREMENTS, Param2 bits 5:4: 1, what earlier answers said has changed; 2, not.
TEST(SpdmFlow, ASignedAnswerTellsWhetherEarlierOnesStillHold) {
  const auto content_changed = [](std::uint8_t first, std::uint8_t version) {
    Updated device;
    ResponderConfig ours = Ends::responder_config();
    ours.measurements = &device;
    Ends ends(at_version(Ends::requester_config(), version), std::move(ours));
    std::uint8_t said = 0;
    ends.bend_answer = [&](Message& m) {
      if (m.bytes[1] == std::byte{0x60}) said = std::to_integer<std::uint8_t>(m.bytes[3]) >> 4U;
    };
    ends.requester.connect();
    ends.requester.get_certificates(0);
    ends.requester.measure({.index = first, .sign = false});
    ends.requester.measure({.index = 1, .sign = true});
    expect_ok(ends.run(), "measurements");
    return said;
  };
  EXPECT_EQ(content_changed(2, 0x12), 1);
  EXPECT_EQ(content_changed(0xff, 0x14), 1);
  EXPECT_EQ(content_changed(1, 0x12), 2);
  EXPECT_EQ(content_changed(2, 0x11), 0);
}

/// libspdm, libspdm_crypt_cert.c: a responder's leaf has not only the purpose of requesters.
TEST(SpdmFlow, ALeafForTheOtherEndIsRefused) {
  for (const std::string purposes :
       {crypto::kOidResponderAuth, crypto::kOidRequesterAuth, "serverAuth"}) {
    const auto made = crypto::make_pki(
        {.type = KeyType::kP384, .hash = crypto::HashAlgorithm::kSha384, .name = "purposes"},
        crypto::LeafExtras{.purposes = purposes, .extensions = {}});
    ASSERT_TRUE(made.has_value()) << made.error().why;
    FixedCredentials credentials(made->device);
    ResponderConfig ours = Ends::responder_config();
    ours.credentials = &credentials;
    RequesterConfig theirs;
    theirs.trust_anchors = {made->device.chain.first()};
    Ends ends(std::move(theirs), std::move(ours));
    ends.requester.connect();
    ends.requester.get_certificates(0);
    EXPECT_EQ(ends.run().has_value(), purposes != crypto::kOidRequesterAuth) << purposes;
  }
}

TEST(SpdmFlow, RawRequestsWaitForADeviceThatIsNotReady) {
  ResponderConfig ours = Ends::responder_config();
  ours.defer_signatures = true;
  Ends ends(at_version(Ends::requester_config(), 0x12), std::move(ours));
  ends.requester.connect();
  // Of slot 9: InvalidRequest, once it is judged.
  Bytes challenge(36);
  challenge[0] = std::byte{0x12};
  challenge[1] = std::byte{0x83};
  challenge[2] = std::byte{9};
  ends.requester.send_raw(kNoSession, challenge);
  bool busy = true;
  ends.bend_answer = [&](Message& m) {
    if (m.bytes[1] == std::byte{0x7f} && std::exchange(busy, false))
      m.bytes = {std::byte{0x12}, std::byte{0x7f}, std::byte{3}, std::byte{0}};
  };
  expect_ok(ends.run(), "raw");
  const auto refused = wire::SpdmError::decode(ends.requester.raw_answer());
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->code, std::to_underlying(wire::SpdmErrorCode::kInvalidRequest));
}

TEST(SpdmFlow, WhatIsFetchedLaterIsFetchedWhereItWasAskedFor) {
  ResponderConfig ours = Ends::responder_config();
  ours.defer_signatures = true;
  Ends ends(at_version(Ends::requester_config(), 0x12), std::move(ours));
  const auto session = ends.open_session();
  ASSERT_TRUE(session.has_value()) << session.error().why;
  const Bytes measure =
      wire::SpdmGetMeasurements{.version = 0x12, .sign = true, .operation = 1}.encode();
  const auto in_the_clear = [&](ByteView message) {
    return std::get<Message>(ends.responder.receive({false, message})).bytes;
  };
  const Bytes not_yet = in_the_clear(measure);
  const auto error = wire::SpdmError::decode(not_yet);
  ASSERT_TRUE(error && error->code == std::to_underlying(wire::SpdmErrorCode::kResponseNotReady));
  const auto later = wire::SpdmNotReady::decode(error->extended);
  ASSERT_TRUE(later.has_value());
  const Bytes fetch =
      wire::SpdmRespondIfReady{0x12, later->request_code, later->token, {}}.encode();
  ends.requester.send_raw(*session, fetch);
  expect_ok(ends.run(), "in the session");
  const auto refused = wire::SpdmError::decode(ends.requester.raw_answer());
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->code, std::to_underlying(wire::SpdmErrorCode::kUnexpectedRequest));
  EXPECT_FALSE(wire::SpdmError::decode(in_the_clear(fetch)).has_value());
}

TEST(SpdmFlow, WithoutATransportHeaderThereAreNoSessions) {
  RequesterConfig theirs = Ends::requester_config();
  ResponderConfig ours = Ends::responder_config();
  theirs.settings.transport = ours.settings.transport = Transport::kNone;
  Ends ends(std::move(theirs), std::move(ours));
  EXPECT_EQ(ends.open_session().error().code, Errno::kOpNotSupp);
  ends.requester.connect();
  ends.requester.get_certificates(0);
  ends.requester.challenge(0);
  expect_ok(ends.run(), "challenge");
}

TEST(SpdmFlow, AMultiKeyConnectionNamesItsKeys) {
  RequesterConfig theirs = Ends::requester_config();
  ResponderConfig ours = Ends::responder_config();
  ours.settings.flags =
      default_responder_flags() | wire::kSpdmCapMultiKeyNegotiated | wire::kSpdmCapGetKeyPairInfo;
  theirs.settings.algorithms.other_params |= wire::kSpdmMultiKeyConn;
  Ends ends(std::move(theirs), std::move(ours));
  const auto session = ends.open_session();
  ASSERT_TRUE(session.has_value()) << session.error().why;
  EXPECT_TRUE(ends.ask(*session, bytes("hello")).has_value());
}

TEST(SpdmFlow, TheSameSeedGivesTheSameBytes) {
  const auto record = [] {
    const crypto::SeededRandom seeded(99);
    Ends ends;
    Bytes all;
    ends.bend_answer = [&](Message& m) { all.insert(all.end(), m.bytes.begin(), m.bytes.end()); };
    const auto session = ends.open_session();
    EXPECT_TRUE(session.has_value());
    EXPECT_TRUE(ends.ask(*session, bytes("hello")).has_value());
    return all;
  };
  (void)pki();
  EXPECT_EQ(record(), record());
}

}  // namespace
}  // namespace teeio::spdm
