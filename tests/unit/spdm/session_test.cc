#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/spdm/ends.h"
#include "wire/spdm_session.h"

namespace teeio::spdm {
namespace {

using ::testing::ElementsAre;

TEST(SpdmSession, OpensCarriesAMessageAndEnds) {
  Ends ends;
  const auto session = ends.open_session();
  ASSERT_TRUE(session.has_value()) << session.error().why;
  ASSERT_NE(*session, kNoSession);
  const auto answer = ends.ask(*session, bytes("hello"));
  ASSERT_TRUE(answer.has_value()) << answer.error().why;
  EXPECT_EQ(*answer, bytes("hello"));
  ASSERT_EQ(ends.apps.size(), 1U);
  EXPECT_EQ(ends.apps[0].session, *session);
  EXPECT_EQ(ends.apps[0].standard_id, 3);
  ends.requester.end_session(*session);
  ASSERT_TRUE(ends.run().has_value());
  EXPECT_FALSE(ends.requester.has_session(*session));
  EXPECT_THAT(ends.responder_saw.ended, ElementsAre(std::pair(*session, SessionEnd::kEnded)));
}

/// Zeros behind the answers of one code, or of none.
class Longer final : public Tamper {
 public:
  std::optional<std::uint8_t> refuses(ByteView /*request*/) override { return {}; }
  void change(ByteView request, Bytes& answer, std::size_t /*verify_data*/) override {
    const auto header = wire::SpdmHeader::decode(request);
    if (header && header->code == std::to_underlying(code)) answer.resize(answer.size() + 1);
  }
  wire::SpdmCode code{};
};

// As libspdm's requester: no transport pads what a session carries.
TEST(SpdmSession, WhatSessionsAloneCarryIsAsLongAsItsFields) {
  for (const auto code : {wire::SpdmCode{}, wire::SpdmCode::kHeartbeat, wire::SpdmCode::kKeyUpdate,
                          wire::SpdmCode::kEndSession}) {
    Longer longer;
    longer.code = code;
    auto device = Ends::responder_config();
    device.tamper = &longer;
    device.heartbeat_period_s = 60;
    Ends ends(Ends::requester_config(), std::move(device));
    const auto session = ends.open_session();
    ASSERT_TRUE(session.has_value()) << session.error().why;
    ends.requester.heartbeat(*session);
    ends.requester.update_keys(*session, Requester::KeyUpdate::kAll);
    ends.requester.end_session(*session);
    const auto ran = ends.run();
    EXPECT_EQ(ran.has_value(), code == wire::SpdmCode{});
    if (!ran) {
      EXPECT_EQ(ran.error().why, "the answer is longer than its fields");
    }
  }
}

/// What a device of CACHE_CAP answers to GET_DIGESTS after a session and a reset.
std::uint8_t digests_after_reset(std::uint32_t capability, bool clears) {
  auto device = Ends::responder_config();
  device.settings.flags = default_responder_flags() | capability;
  Ends ends(Ends::requester_config(), std::move(device));
  const auto session = ends.open_session();
  if (!session) return 0;
  const auto ask = [&](std::uint32_t where, Bytes request) {
    ends.requester.send_raw(where, std::move(request));
    const bool answered = ends.run().has_value();
    const auto header = wire::SpdmHeader::decode(ends.requester.raw_answer());
    return answered && header ? header->code : std::uint8_t{0};
  };
  const Bytes end =
      wire::SpdmEndSession{.version = wire::kSpdmVersion14, .clear_negotiated_state = clears}
          .encode();
  if (ask(*session, end) != std::to_underlying(wire::SpdmCode::kEndSessionAck)) return 0;
  if (ends.responder_saw.ended.size() != 1) return 0;
  ends.responder.reset();
  return ask(kNoSession, {std::byte{wire::kSpdmVersion14}, std::byte{0x81}, {}, {}});
}

// DSP0274 1.1, END_SESSION's Negotiated State Preservation Indicator.
TEST(SpdmSession, ItsEndSaysWhetherWhatWasNegotiatedSurvivesAReset) {
  constexpr auto kDigests = std::to_underlying(wire::SpdmCode::kDigests);
  constexpr auto kError = std::to_underlying(wire::SpdmCode::kError);
  EXPECT_EQ(digests_after_reset(wire::kSpdmCapCache, /*clears=*/false), kDigests);
  EXPECT_EQ(digests_after_reset(wire::kSpdmCapCache, /*clears=*/true), kError);
  EXPECT_EQ(digests_after_reset(0, /*clears=*/false), kError);
}

}  // namespace
}  // namespace teeio::spdm
