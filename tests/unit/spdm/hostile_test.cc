// A responder, or a host between the ends, that lies.
#include <gtest/gtest.h>

#include "unit/spdm/ends.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_measurements.h"

namespace teeio::spdm {
namespace {

using wire::SpdmCode;
using wire::SpdmErrorCode;

bool is(const Message& message, SpdmCode code) {
  return !message.secured && message.bytes.size() > 1 &&
         message.bytes[1] == std::byte{std::to_underlying(code)};
}

Errno opening_fails_with(Ends& ends) {
  const auto session = ends.open_session();
  EXPECT_FALSE(session.has_value());
  EXPECT_FALSE(ends.requester.last_session().has_value());
  EXPECT_TRUE(ends.requester_saw.started.empty());
  return session ? Errno::kExist : session.error().code;
}

TEST(SpdmHostile, AChainOfAnotherRootIsNotTrusted) {
  const crypto::Pki other = crypto::make_device_identity(8, crypto::KeyType::kP384);
  RequesterConfig theirs = Ends::requester_config();
  theirs.trust_anchors = {other.device.chain.first()};
  Ends ends(std::move(theirs), Ends::responder_config());
  EXPECT_EQ(opening_fails_with(ends), Errno::kPerm);
}

TEST(SpdmHostile, AChainThatIsNotTheDigestsIsRefused) {
  Ends ends;
  ends.bend_answer = [](Message& m) {
    if (is(m, SpdmCode::kDigests)) m.bytes.back() ^= std::byte{1};
  };
  EXPECT_EQ(opening_fails_with(ends), Errno::kPerm);
}

TEST(SpdmHostile, AChainThatChangesWhileItIsReadIsRefused) {
  RequesterConfig theirs = Ends::requester_config();
  theirs.settings.data_transfer_size = 256;
  Ends ends(std::move(theirs), Ends::responder_config());
  unsigned portions = 0;
  ends.bend_answer = [&](Message& m) {
    if (is(m, SpdmCode::kCertificate) && ++portions == 2) m.bytes.back() ^= std::byte{1};
  };
  EXPECT_EQ(opening_fails_with(ends), Errno::kPerm);
  EXPECT_GT(portions, 2U);
}

TEST(SpdmHostile, AChainWithoutEndIsRefused) {
  Ends ends;
  unsigned portions = 0;
  ends.bend_answer = [&](Message& m) {
    if (!is(m, SpdmCode::kCertificate)) return;
    ++portions;
    // Always as much again to come.
    wire::SpdmCertificate more;
    more.version = 0x14;
    more.large = true;
    const Bytes portion(0x800, std::byte{1});
    more.portion = portion;
    more.remainder = 0x800;
    m.bytes = more.encode();
  };
  (void)opening_fails_with(ends);
  EXPECT_LE(portions, 2U);
}

/// Bends one message of the handshake by one bit, every byte in turn.
TEST(SpdmHostile, NoBitOfAKeyExchangeMayDiffer) {
  const std::size_t size = [] {
    Ends ends;
    std::size_t seen = 0;
    ends.bend_answer = [&](Message& m) {
      if (is(m, SpdmCode::kKeyExchangeRsp)) seen = m.bytes.size();
    };
    EXPECT_TRUE(ends.open_session().has_value());
    return seen;
  }();
  ASSERT_GT(size, 100U);
  Ends ends;
  ends.requester.connect();
  ends.requester.get_certificates(0);
  ASSERT_TRUE(ends.run().has_value());
  for (std::size_t at = 0; at < size; at += 7) {
    ends.bend_answer = [at](Message& m) {
      if (is(m, SpdmCode::kKeyExchangeRsp)) m.bytes.at(at) ^= std::byte{0x10};
    };
    ends.requester.open_session({});
    EXPECT_FALSE(ends.run().has_value()) << "byte " << at;
    EXPECT_FALSE(ends.requester.last_session().has_value());
  }
}

TEST(SpdmHostile, ADowngradeOfVersionOrAlgorithmsShowsInTheSignature) {
  for (const SpdmCode code : {SpdmCode::kVersion, SpdmCode::kCapabilities}) {
    Ends ends;
    ends.bend_answer = [code](Message& m) {
      if (!is(m, code)) return;
      if (code == SpdmCode::kVersion) {
        m.bytes[5] = std::byte{3};  // 1.3 and 1.4 are hidden
        m.bytes.resize(m.bytes.size() - 4);
      } else {
        m.bytes[8] ^= std::byte{0x20};  // MEAS_FRESH_CAP
      }
    };
    EXPECT_EQ(opening_fails_with(ends), Errno::kPerm);
  }
}

TEST(SpdmHostile, AReplayedMeasurementIsNotThatOfTheNonce) {
  Ends ends;
  ASSERT_TRUE(ends.open_session().has_value());
  Bytes old;
  ends.bend_answer = [&](Message& m) { old = m.bytes; };
  ends.requester.measure({});
  ASSERT_TRUE(ends.run().has_value());
  ends.bend_answer = [&](Message& m) { m.bytes = old; };
  ends.requester.measure({});
  EXPECT_EQ(ends.run().error().code, Errno::kPerm);
}

TEST(SpdmHostile, AForgedMeasurementIsRefused) {
  Ends ends;
  ASSERT_TRUE(ends.open_session().has_value());
  ends.bend_answer = [&](Message& m) { m.bytes[16] ^= std::byte{1}; };
  ends.requester.measure({});
  EXPECT_EQ(ends.run().error().code, Errno::kPerm);
}

TEST(SpdmHostile, WhatIsNeverReadyTimesOut) {
  for (const SpdmErrorCode code : {SpdmErrorCode::kBusy, SpdmErrorCode::kResponseNotReady}) {
    Ends ends;
    ends.bend_answer = [&](Message& m) {
      if (is(m, SpdmCode::kVersion)) return;
      wire::SpdmError error;
      error.version =
          m.bytes[0] == std::byte{0x10} ? 0x10 : std::to_integer<std::uint8_t>(m.bytes[0]);
      error.code = std::to_underlying(code);
      wire::SpdmNotReady later;
      later.delay_exponent = 40;
      later.request_code = std::to_underlying(SpdmCode::kGetCapabilities);
      const Bytes extended = later.encode();
      if (code == SpdmErrorCode::kResponseNotReady) error.extended = extended;
      m.bytes = error.encode();
    };
    EXPECT_EQ(opening_fails_with(ends), Errno::kTimedOut);
    EXPECT_LT(ends.rounds, 20U);
  }
}

TEST(SpdmHostile, EveryTruncatedAnswerIsAnError) {
  for (std::size_t size = 0; size < 40; size += 3) {
    for (unsigned victim = 0; victim < 7; ++victim) {
      Ends ends;
      unsigned seen = 0;
      bool cut = false;
      ends.bend_answer = [&](Message& m) {
        if (seen++ == victim && m.bytes.size() > size + 4) {
          m.bytes.resize(size);
          cut = true;
        }
      };
      const auto session = ends.open_session();
      if (cut) {
        EXPECT_FALSE(session.has_value()) << victim << " cut to " << size;
      }
    }
  }
}

TEST(SpdmHostile, AnAnswerInTheClearDoesNotEndASession) {
  Ends ends;
  const auto session = ends.open_session();
  ASSERT_TRUE(session.has_value());
  ends.bend_answer = [](Message& m) {
    wire::SpdmError error;
    error.version = 0x14;
    error.code = std::to_underlying(SpdmErrorCode::kUnexpectedRequest);
    m = {false, error.encode()};
  };
  EXPECT_EQ(ends.ask(*session, bytes("hello")).error().code, Errno::kIo);
  EXPECT_TRUE(ends.requester.has_session(*session));
}

TEST(SpdmHostile, AnAnswerOfAnotherSessionIsRefused) {
  Ends ends;
  const auto first = ends.open_session();
  ASSERT_TRUE(first.has_value());
  Message other;
  ends.bend_answer = [&](Message& m) { other = m; };
  ASSERT_TRUE(ends.ask(*first, bytes("hello")).has_value());
  ends.bend_answer = nullptr;
  ends.requester.open_session({});
  ASSERT_TRUE(ends.run().has_value());
  const auto second = *ends.requester.last_session();
  ends.bend_answer = [&](Message& m) { m = other; };
  EXPECT_EQ(ends.ask(second, bytes("hello")).error().code, Errno::kInval);
}

TEST(SpdmHostile, ATamperedAnswerEndsTheSession) {
  Ends ends;
  const auto session = ends.open_session();
  ASSERT_TRUE(session.has_value());
  ends.bend_answer = [](Message& m) { m.bytes[10] ^= std::byte{1}; };
  EXPECT_EQ(ends.ask(*session, bytes("hello")).error().code, Errno::kBadFd);
  EXPECT_FALSE(ends.requester.has_session(*session));
  ASSERT_EQ(ends.requester_saw.ended.size(), 1U);
  EXPECT_EQ(ends.requester_saw.ended[0].second, SessionEnd::kDecryptError);
}

TEST(SpdmHostile, ChunksThatDoNotAddUpAreRefused) {
  for (const std::size_t at : {4U, 8U, 12U}) {  // flags and handle, length, size
    RequesterConfig theirs = Ends::requester_config();
    ResponderConfig ours = Ends::responder_config();
    theirs.settings.data_transfer_size = ours.settings.data_transfer_size = 100;
    theirs.settings.max_message_size = ours.settings.max_message_size = 0x4000;
    Ends ends(std::move(theirs), std::move(ours));
    ends.bend_answer = [at](Message& m) {
      if (is(m, SpdmCode::kChunkResponse)) m.bytes.at(at) ^= std::byte{0x40};
    };
    (void)opening_fails_with(ends);
    EXPECT_LT(ends.rounds, 2000U);
  }
}

TEST(SpdmHostile, AnEncapsulatedFlowWithoutEndIsCutOff) {
  RequesterConfig theirs = Ends::requester_config();
  ResponderConfig ours = Ends::responder_config();
  theirs.credentials = ours.credentials;
  theirs.settings.flags = default_requester_flags() | wire::kSpdmCapCert | wire::kSpdmCapChal |
                          wire::kSpdmCapMutAuth | wire::kSpdmCapEncap |
                          wire::kSpdmCapHandshakeInTheClear;
  theirs.settings.limits.encapsulated = 5;
  ours.settings.flags = default_responder_flags() | wire::kSpdmCapMutAuth | wire::kSpdmCapEncap |
                        wire::kSpdmCapHandshakeInTheClear;
  ours.mutual_auth = MutualAuth::kRequired;
  Ends ends(std::move(theirs), std::move(ours));
  Bytes first;
  ends.bend_answer = [&](Message& m) {
    if (!is(m, SpdmCode::kEncapsulatedResponseAck)) return;
    if (first.empty()) first = m.bytes;
    m.bytes = first;
    m.bytes[4] = std::byte{1};
  };
  (void)opening_fails_with(ends);
  EXPECT_LT(ends.rounds, 40U);
}

}  // namespace
}  // namespace teeio::spdm
