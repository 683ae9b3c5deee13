// What a responder says to requests that come at the wrong time or make no sense.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "unit/spdm/ends.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_chunk.h"
#include "wire/spdm_session.h"

namespace teeio::spdm {
namespace {

using wire::SpdmCode;
using wire::SpdmErrorCode;

Bytes request(SpdmCode code, std::uint8_t version = 0x12, std::uint8_t param1 = 0,
              std::uint8_t param2 = 0) {
  return {std::byte{version}, std::byte{std::to_underlying(code)}, std::byte{param1},
          std::byte{param2}};
}

/// The error code of the answer to `message` in the clear; nullopt: no error.
std::optional<SpdmErrorCode> error_of(Responder& responder, ByteView message) {
  auto step = responder.receive({false, message});
  const auto* answer = std::get_if<Message>(&step);
  if (answer == nullptr) return std::nullopt;
  const auto error = wire::SpdmError::decode(answer->bytes);
  return error ? std::optional(static_cast<SpdmErrorCode>(error->code)) : std::nullopt;
}

/// The same in a session, by the requester's own means.
std::optional<SpdmErrorCode> error_in(Ends& ends, std::uint32_t session, Bytes message) {
  ends.requester.send_raw(session, std::move(message));
  if (!ends.run()) return std::nullopt;
  const auto error = wire::SpdmError::decode(ends.requester.raw_answer());
  return error ? std::optional(static_cast<SpdmErrorCode>(error->code)) : std::nullopt;
}

RequesterConfig at_12() {
  RequesterConfig config = Ends::requester_config();
  config.settings.versions = {0x12};
  return config;
}

TEST(SpdmResponder, NothingComesBeforeItsPredecessors) {
  Responder responder(Ends::responder_config());
  for (const SpdmCode code :
       {SpdmCode::kGetCapabilities, SpdmCode::kNegotiateAlgorithms, SpdmCode::kGetDigests,
        SpdmCode::kKeyExchange, SpdmCode::kVendorDefinedRequest, SpdmCode::kRespondIfReady})
    EXPECT_EQ(error_of(responder, request(code)), SpdmErrorCode::kUnexpectedRequest)
        << wire::spdm_name(std::to_underlying(code));
  EXPECT_EQ(error_of(responder, request(SpdmCode::kGetVersion, 0x12)),
            SpdmErrorCode::kVersionMismatch);
  EXPECT_EQ(error_of(responder, request(SpdmCode::kGetVersion, 0x10)), std::nullopt);
  EXPECT_EQ(error_of(responder, request(SpdmCode::kGetDigests)), SpdmErrorCode::kUnexpectedRequest);
}

TEST(SpdmResponder, VersionCapabilitiesAndAlgorithmsAreSettledOnce) {
  Ends ends(at_12(), Ends::responder_config());
  ends.requester.connect();
  ASSERT_TRUE(ends.run().has_value());
  EXPECT_EQ(error_of(ends.responder, request(SpdmCode::kGetCapabilities)),
            SpdmErrorCode::kUnexpectedRequest);
  EXPECT_EQ(error_of(ends.responder, request(SpdmCode::kNegotiateAlgorithms)),
            SpdmErrorCode::kUnexpectedRequest);
}

TEST(SpdmResponder, AnotherVersionThanTheAgreedOneIsAMismatch) {
  Ends ends(at_12(), Ends::responder_config());
  ends.requester.connect();
  ASSERT_TRUE(ends.run().has_value());
  for (const std::uint8_t version : std::initializer_list<std::uint8_t>{0x10, 0x11, 0x13, 0x14})
    EXPECT_EQ(error_of(ends.responder, request(SpdmCode::kGetDigests, version)),
              SpdmErrorCode::kVersionMismatch);
  EXPECT_EQ(error_of(ends.responder, request(SpdmCode::kGetDigests)), std::nullopt);
}

TEST(SpdmResponder, UnknownAndLaterRequestsAreUnsupported) {
  Ends ends(at_12(), Ends::responder_config());
  ends.requester.connect();
  ASSERT_TRUE(ends.run().has_value());
  EXPECT_EQ(error_of(ends.responder, request(static_cast<SpdmCode>(0x9f))),
            SpdmErrorCode::kUnsupportedRequest);
  EXPECT_EQ(error_of(ends.responder, request(SpdmCode::kGetMeasurementExtensionLog)),
            SpdmErrorCode::kUnsupportedRequest);
  EXPECT_EQ(error_of(ends.responder, request(SpdmCode::kGetCsr)),
            SpdmErrorCode::kUnsupportedRequest);
  EXPECT_EQ(error_of(ends.responder, Bytes(3)), SpdmErrorCode::kInvalidRequest);
}

TEST(SpdmResponder, SessionMessagesNeedTheirSession) {
  Ends ends(at_12(), Ends::responder_config());
  const auto session = ends.open_session();
  ASSERT_TRUE(session.has_value());
  for (const SpdmCode code : {SpdmCode::kHeartbeat, SpdmCode::kKeyUpdate, SpdmCode::kEndSession,
                              SpdmCode::kFinish, SpdmCode::kPskFinish})
    EXPECT_NE(error_of(ends.responder, request(code)), std::nullopt)
        << wire::spdm_name(std::to_underlying(code));
  EXPECT_EQ(error_of(ends.responder, request(SpdmCode::kHeartbeat)),
            SpdmErrorCode::kSessionRequired);
  for (const SpdmCode code :
       {SpdmCode::kGetVersion, SpdmCode::kGetCapabilities, SpdmCode::kChallenge,
        SpdmCode::kKeyExchange, SpdmCode::kPskExchange, SpdmCode::kFinish})
    EXPECT_NE(error_in(ends, *session, request(code)), std::nullopt)
        << wire::spdm_name(std::to_underlying(code));
  EXPECT_EQ(error_in(ends, *session, request(SpdmCode::kGetVersion, 0x10)),
            SpdmErrorCode::kUnexpectedRequest);
  // None of it has hurt the session.
  EXPECT_TRUE(ends.ask(*session, bytes("hello")).has_value());
}

TEST(SpdmResponder, ATamperedRecordEndsItsSession) {
  Ends ends;
  const auto session = ends.open_session();
  ASSERT_TRUE(session.has_value());
  ends.bend_request = [](Message& m) { m.bytes.back() ^= std::byte{1}; };
  const auto answer = ends.ask(*session, bytes("hello"));
  EXPECT_EQ(answer.error().code, Errno::kBadFd);
  EXPECT_THAT(ends.responder_saw.ended,
              ::testing::ElementsAre(std::pair(*session, SessionEnd::kDecryptError)));
  EXPECT_FALSE(ends.requester.has_session(*session));
}

TEST(SpdmResponder, AReplayedRecordEndsItsSession) {
  Ends ends;
  const auto session = ends.open_session();
  ASSERT_TRUE(session.has_value());
  Message first;
  ends.bend_request = [&](Message& m) { first = m; };
  ASSERT_TRUE(ends.ask(*session, bytes("hello")).has_value());
  const auto step = ends.responder.receive(view(first));
  const auto* answer = std::get_if<Message>(&step);
  ASSERT_NE(answer, nullptr);
  EXPECT_TRUE(answer->secured);
  EXPECT_EQ(ends.responder_saw.ended.size(), 1U);
}

TEST(SpdmResponder, RecordsOfUnknownSessionsAreDropped) {
  Ends ends;
  ASSERT_TRUE(ends.open_session().has_value());
  const Bytes record(64, std::byte{0x33});
  EXPECT_TRUE(std::holds_alternative<std::monostate>(ends.responder.receive({true, record})));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(ends.responder.receive({true, Bytes(2)})));
  EXPECT_TRUE(ends.responder_saw.ended.empty());
}

TEST(SpdmResponder, AWrongFinishEndsTheHandshake) {
  Ends ends;
  ends.requester.connect();
  ends.requester.get_certificates(0);
  ASSERT_TRUE(ends.run().has_value());
  // The device's key exchange is the peer's; its FINISH proves nothing.
  ends.requester.open_session({});
  std::uint32_t session = kNoSession;
  const Message* out = ends.requester.request();
  auto step = ends.responder.receive(view(*out));
  ASSERT_TRUE(ends.requester.take(view(std::get<Message>(step))).has_value());
  out = ends.requester.request();  // FINISH, sealed
  Message finish = *out;
  finish.bytes.back() ^= std::byte{1};
  step = ends.responder.receive(view(finish));
  ASSERT_EQ(ends.responder_saw.ended.size(), 1U);
  session = ends.responder_saw.ended[0].first;
  EXPECT_NE(session, kNoSession);
  EXPECT_TRUE(ends.responder_saw.started.empty());
}

TEST(SpdmResponder, ThereAreAsManySessionsAsTheLimitSays) {
  ResponderConfig ours = Ends::responder_config();
  ours.settings.limits.sessions = 2;
  Ends ends(Ends::requester_config(), std::move(ours));
  ASSERT_TRUE(ends.open_session().has_value());
  const auto first = *ends.requester.last_session();
  ends.requester.open_session({});
  ASSERT_TRUE(ends.run().has_value());
  ends.requester.open_session({});
  EXPECT_EQ(ends.run().error().code, Errno::kIo);
  EXPECT_EQ(ends.requester.last_error()->code,
            std::to_underlying(SpdmErrorCode::kSessionLimitExceeded));
  ends.requester.end_session(first);
  ends.requester.open_session({});
  EXPECT_TRUE(ends.run().has_value());
}

TEST(SpdmResponder, GetVersionForgetsEverything) {
  Ends ends;
  const auto session = ends.open_session();
  ASSERT_TRUE(session.has_value());
  EXPECT_EQ(error_of(ends.responder, request(SpdmCode::kGetVersion, 0x10)), std::nullopt);
  EXPECT_THAT(ends.responder_saw.ended,
              ::testing::ElementsAre(std::pair(*session, SessionEnd::kReset)));
  EXPECT_FALSE(ends.responder.negotiated().has_value());
}

TEST(SpdmResponder, SilentSessionsEndAfterTwoHeartbeats) {
  ResponderConfig ours = Ends::responder_config();
  ours.heartbeat_period_s = 5;
  Ends ends(Ends::requester_config(), std::move(ours));
  const auto session = ends.open_session();
  ASSERT_TRUE(session.has_value());
  ends.responder.pass_time(10);
  ends.requester.heartbeat(*session);
  ASSERT_TRUE(ends.run().has_value());
  ends.responder.pass_time(10);
  EXPECT_TRUE(ends.responder_saw.ended.empty());
  ends.responder.pass_time(1);
  EXPECT_THAT(ends.responder_saw.ended,
              ::testing::ElementsAre(std::pair(*session, SessionEnd::kHeartbeat)));
}

TEST(SpdmResponder, AfterALossOfStateItAsksToResynchronise) {
  Ends ends;
  ASSERT_TRUE(ends.open_session().has_value());
  ends.responder.need_resynch();
  ends.requester.get_digests();
  EXPECT_EQ(ends.run().error().code, Errno::kIo);
  EXPECT_EQ(ends.requester.last_error()->code, std::to_underlying(SpdmErrorCode::kRequestResynch));
  EXPECT_TRUE(ends.open_session().has_value());
}

TEST(SpdmResponder, KeyUpdatesKeepTheirOrder) {
  Ends ends(at_12(), Ends::responder_config());
  const auto session = ends.open_session();
  ASSERT_TRUE(session.has_value());
  const auto update = [](wire::SpdmKeyOperation operation) {
    wire::SpdmKeyUpdate message;
    message.operation = std::to_underlying(operation);
    return message.encode();
  };
  EXPECT_EQ(error_in(ends, *session, update(wire::SpdmKeyOperation::kVerifyNewKey)),
            SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(error_in(ends, *session, update(static_cast<wire::SpdmKeyOperation>(9))),
            SpdmErrorCode::kInvalidRequest);
  EXPECT_TRUE(ends.ask(*session, bytes("hello")).has_value());
}

TEST(SpdmResponder, OnlyGetVersionInterruptsChunks) {
  RequesterConfig theirs = at_12();
  ResponderConfig ours = Ends::responder_config();
  theirs.settings.max_message_size = ours.settings.max_message_size = 0x8000;
  Ends ends(std::move(theirs), std::move(ours));
  ends.requester.connect();
  ASSERT_TRUE(ends.run().has_value());
  const Bytes part(100);
  wire::SpdmChunkSend chunk;
  chunk.handle = 1;
  chunk.large_size = 0x2000;
  chunk.chunk = part;
  EXPECT_EQ(error_of(ends.responder, chunk.encode()), std::nullopt);
  EXPECT_EQ(error_of(ends.responder, request(SpdmCode::kGetDigests)),
            SpdmErrorCode::kUnexpectedRequest);
  // The wrong number ends the transfer, with the error inside of the acknowledgement.
  chunk.sequence = 2;
  auto step = ends.responder.receive({false, chunk.encode()});
  const auto ack = wire::SpdmChunkSendAck::decode(std::get<Message>(step).bytes);
  ASSERT_TRUE(ack.has_value());
  EXPECT_TRUE(ack->early_error);
  EXPECT_EQ(error_of(ends.responder, request(SpdmCode::kGetDigests)), std::nullopt);
  chunk.sequence = 0;
  chunk.large_size = 0x8001;
  step = ends.responder.receive({false, chunk.encode()});
  EXPECT_TRUE(wire::SpdmChunkSendAck::decode(std::get<Message>(step).bytes)->early_error);
}

// DSP0274 1.2.1, CHUNK_SEND: what makes CHUNK_SEND_ACK exceed DataTransferSize is announced in its
// place, and fetched by CHUNK_GET.
TEST(SpdmResponder, AnswersTooLargeForAnAcknowledgementAreAnnouncedInItsPlace) {
  RequesterConfig theirs = at_12();
  theirs.settings.data_transfer_size = wire::kSpdmMinDataTransferSize;
  Ends ends(std::move(theirs), Ends::responder_config());
  ends.requester.connect();
  ASSERT_TRUE(ends.run().has_value());
  wire::SpdmGetCertificate get;
  get.length = 0x200;
  const Bytes whole = get.encode();
  wire::SpdmChunkSend chunk;
  chunk.handle = 1;
  chunk.large_size = static_cast<std::uint32_t>(whole.size());
  chunk.chunk = ByteView(whole).first(4);
  EXPECT_EQ(error_of(ends.responder, chunk.encode()), std::nullopt);
  chunk.sequence = 1;
  chunk.last = true;
  chunk.chunk = ByteView(whole).subspan(4);
  auto step = ends.responder.receive({false, chunk.encode()});
  const auto error = wire::SpdmError::decode(std::get<Message>(step).bytes);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, std::to_underlying(SpdmErrorCode::kLargeResponse));
  ASSERT_FALSE(error->extended.empty());
  wire::SpdmChunkGet fetch;
  fetch.handle = std::to_integer<std::uint8_t>(error->extended.front());
  step = ends.responder.receive({false, fetch.encode()});
  const auto first = wire::SpdmChunkResponse::decode(std::get<Message>(step).bytes);
  ASSERT_TRUE(first.has_value());
  const auto inside = wire::SpdmHeader::decode(first->chunk);
  ASSERT_TRUE(inside.has_value());
  EXPECT_EQ(inside->code, std::to_underlying(SpdmCode::kCertificate));
}

TEST(SpdmResponder, CertificatesComeInPortionsAndNotBeyondTheirEnd) {
  Ends ends(at_12(), Ends::responder_config());
  ends.requester.connect();
  ASSERT_TRUE(ends.run().has_value());
  wire::SpdmGetCertificate get;
  get.offset = 10;
  get.length = 20;
  auto step = ends.responder.receive({false, get.encode()});
  const auto part = wire::SpdmCertificate::decode(std::get<Message>(step).bytes);
  ASSERT_TRUE(part.has_value());
  EXPECT_EQ(part->portion.size(), 20U);
  get.offset = 30 + part->remainder;
  EXPECT_EQ(error_of(ends.responder, get.encode()), SpdmErrorCode::kInvalidRequest);
  get.offset = 0;
  get.slot = 3;
  EXPECT_EQ(error_of(ends.responder, get.encode()), SpdmErrorCode::kInvalidRequest);
}

TEST(SpdmResponder, ApplicationMessagesMayBeRefused) {
  Ends ends;
  const auto session = ends.open_session();
  ASSERT_TRUE(session.has_value());
  ends.app_error = std::to_underlying(SpdmErrorCode::kUnsupportedRequest);
  EXPECT_EQ(ends.ask(*session, bytes("hello")).error().code, Errno::kIo);
  EXPECT_EQ(ends.requester.last_error()->code,
            std::to_underlying(SpdmErrorCode::kUnsupportedRequest));
  ends.app_error.reset();
  EXPECT_TRUE(ends.ask(*session, bytes("hello")).has_value());
}

TEST(SpdmResponder, ARequesterThatCannotProveItselfIsRefusedWhenItMust) {
  ResponderConfig ours = Ends::responder_config();
  ours.settings.flags = default_responder_flags() | wire::kSpdmCapMutAuth | wire::kSpdmCapEncap;
  ours.mutual_auth = MutualAuth::kRequired;
  Ends ends(Ends::requester_config(), std::move(ours));
  EXPECT_EQ(ends.open_session().error().code, Errno::kIo);
  EXPECT_EQ(ends.requester.last_error()->code, std::to_underlying(SpdmErrorCode::kInvalidPolicy));
}

ResponderConfig with_cache() {
  ResponderConfig config = Ends::responder_config();
  config.settings.flags = default_responder_flags() | wire::kSpdmCapCache;
  return config;
}

TEST(SpdmResponder, WhatAResetKeepsAnotherResponderCanBeGiven) {
  Ends ends(at_12(), with_cache());
  ends.requester.connect();
  ASSERT_TRUE(ends.run().has_value());
  const ByteView kept = ends.responder.kept_agreement();
  ASSERT_FALSE(kept.empty());
  Responder next(with_cache());
  EXPECT_TRUE(next.restore_agreement(kept));
  EXPECT_EQ(error_of(next, request(SpdmCode::kGetDigests)), std::nullopt);
}

TEST(SpdmResponder, AnAgreementIsNotTakenFromOthers) {
  Ends ends(at_12(), with_cache());
  ends.requester.connect();
  ASSERT_TRUE(ends.run().has_value());
  const ByteView kept = ends.responder.kept_agreement();
  ResponderConfig others = with_cache();
  others.settings.data_transfer_size -= 1;
  for (const ByteView bad : {kept.first(kept.size() - 1), kept.first(4), ByteView{}}) {
    Responder next(with_cache());
    EXPECT_FALSE(next.restore_agreement(bad));
    EXPECT_EQ(error_of(next, request(SpdmCode::kGetDigests)), SpdmErrorCode::kUnexpectedRequest);
  }
  Responder next(std::move(others));
  EXPECT_FALSE(next.restore_agreement(kept));
  EXPECT_FALSE(next.negotiated());
  // Without the capability nothing is kept, and nothing restored.
  Responder plain(Ends::responder_config());
  EXPECT_FALSE(plain.restore_agreement(kept));
  EXPECT_TRUE(plain.kept_agreement().empty());
}

/// Counts who wants to change what is in the slots.
class CountedProvisioning final : public Provisioning {
 public:
  Result<Bytes> csr(const Key&, ByteView, ByteView) override { return refuse(); }
  Result<void> set_chain(std::uint8_t, const Key&, std::uint8_t, ByteView) override {
    ++chains_set;
    return {};
  }
  Result<KeyPair> key_pair(const Key&) override { return refuse(); }
  Result<void> set_pair(const Key&, const PairWish&) override { return refuse(); }
  unsigned chains_set = 0;

 private:
  static std::unexpected<Error> refuse() { return fail(Errno::kInval, "not in this test"); }
};

// A file of negotiated state is somebody's: none of it but the negotiation is carried out.
TEST(SpdmResponder, AnAgreementBringsNoRequestOfAnotherKind) {
  CountedProvisioning slots;
  ResponderConfig config = with_cache();
  config.settings.flags |= wire::kSpdmCapSetCert;
  config.provisioning = &slots;
  RequesterConfig at_13 = Ends::requester_config();
  at_13.settings.versions = {wire::kSpdmVersion13};
  Ends ends(std::move(at_13), config);
  ends.requester.connect();
  ASSERT_TRUE(ends.run().has_value());
  wire::SpdmSetCertificate erase;
  erase.version = wire::kSpdmVersion13;
  erase.erase = true;
  const Bytes request = erase.encode();
  ASSERT_EQ(error_of(ends.responder, request), std::nullopt);
  ASSERT_EQ(std::exchange(slots.chains_set, 0), 1U);
  Bytes kept(ends.responder.kept_agreement().begin(), ends.responder.kept_agreement().end());
  kept.insert(kept.end(), request.begin(), request.end());
  Responder next(config);
  EXPECT_FALSE(next.restore_agreement(kept));
  EXPECT_EQ(slots.chains_set, 0U);
  EXPECT_FALSE(next.negotiated());
}

}  // namespace
}  // namespace teeio::spdm
