#include "dsm_fixture.h"

namespace teeio::device::testing {
namespace {

using wire::KpAckStatus;

const wire::IdeKeySelector kAny =
    wire::IdeKeySelector::make(0, wire::IdeDirection::kRx, wire::IdeSubStream::kPosted);

using DsmIdeTest = DsmTest;

TEST_F(DsmIdeTest, KeyProgAnswersEachStatus) {
  const wire::IdeKmKeyProg good{kStream, kAny, 0, key(1)};
  EXPECT_EQ(program(good), KpAckStatus::kSuccess);
  auto bad = good;
  bad.port_index = 1;
  EXPECT_EQ(program(bad), KpAckStatus::kUnsupportedPort);
  bad = good;
  bad.stream_id = 5;
  EXPECT_EQ(program(bad), KpAckStatus::kUnsupportedValue);
  bad = good;
  bad.selector.raw = 0x30;
  EXPECT_EQ(program(bad), KpAckStatus::kUnsupportedValue);
  bad = good;
  bad.key->ifv = 2;
  EXPECT_EQ(program(bad), KpAckStatus::kUnsupportedValue);
  Bytes cut = wire::encode_ide_km(good);
  cut.erase(cut.end() - 4, cut.end());
  const auto ack = wire::decode_ide_km(send(wire::Protocol::kIdeKm, cut).value());
  EXPECT_EQ(std::get<wire::IdeKmKpAck>(*ack).status,
            std::to_underlying(KpAckStatus::kIncorrectLength));
}

TEST_F(DsmIdeTest, AKeyInUseIsNotReplaced) {
  bring_up_stream();
  EXPECT_EQ(program({kStream, kAny, 0, key(9)}), KpAckStatus::kUnspecifiedFailure);
}

TEST_F(DsmIdeTest, GoWithoutAKeyIsRefused) {
  EXPECT_EQ(ide(wire::IdeKmKSetGo{kStream, kAny, 0}).error().code, Errno::kIo);
  EXPECT_EQ(ide(wire::IdeKmKSetGo{kStream, kAny, 3}).error().code, Errno::kIo);
  EXPECT_EQ(ide(wire::IdeKmKSetStop{7, kAny, 0}).error().code, Errno::kIo);
}

TEST_F(DsmIdeTest, StoppingAKeyThatIsNotInUseIsAcknowledged) {
  EXPECT_TRUE(ide(wire::IdeKmKSetStop{kStream, kAny, 0}));
}

TEST_F(DsmIdeTest, AStreamWithoutAssociationTakesNoKeys) {
  write_ide(0, 0x10, 0);
  EXPECT_EQ(program({kStream, kAny, 0, key(1)}), KpAckStatus::kUnsupportedValue);
}

TEST_F(DsmIdeTest, WhatIsNoRequestIsRefused) {
  EXPECT_EQ(ide(wire::IdeKmKpAck{}).error().code, Errno::kIo);
  EXPECT_EQ(send(wire::Protocol::kIdeKm, Bytes(8, std::byte{9})).error().code, Errno::kIo);
  EXPECT_EQ(send(wire::Protocol::kIdeKm, {}).error().code, Errno::kIo);
}

TEST_F(DsmIdeTest, QueryReportsThePortAndTheCapability) {
  const auto answer = std::get<wire::IdeKmQueryResp>(ide(wire::IdeKmQuery{0}).value());
  EXPECT_EQ(answer.bus, 1);
  EXPECT_EQ(answer.max_port_index, 0);
  EXPECT_EQ(answer.registers.size(), (0x0c + 2 * kBlockSize) / 4 - 1);
  EXPECT_EQ(answer.registers.at(0) >> 16U & 0xffU, 1U);   // two streams
  EXPECT_EQ(answer.registers.at(2 + 1) >> 24U, kStream);  // the first block's control
  EXPECT_EQ(ide(wire::IdeKmQuery{1}).error().code, Errno::kIo);
}

TEST_F(DsmIdeTest, StoppingOneSubStreamMovesItsTdisToError) {
  bring_up_stream();
  lock(kPf);
  lock(kVf);
  ASSERT_TRUE(ide(wire::IdeKmKSetStop{kStream, kAny, 0}));
  EXPECT_EQ(tdi.state(), TdiState::kError);
  EXPECT_EQ(vf.state(), TdiState::kError);
}

TEST_F(DsmIdeTest, StoppingTheOldKeySetAfterASwitchDisturbsNobody) {
  bring_up_stream(kStream, 0);
  lock(kPf);
  bring_up_stream(kStream, 1);
  for (const auto selector : selectors(0))
    ASSERT_TRUE(ide(wire::IdeKmKSetStop{kStream, selector, 0}));
  EXPECT_EQ(tdi.state(), TdiState::kConfigLocked);
}

TEST_F(DsmIdeTest, KeysAreRefreshedWithoutStoppingTheOldOnes) {
  bring_up_stream(kStream, 0);
  lock(kPf);
  for (const unsigned key_set : {1U, 0U, 1U}) {
    bring_up_stream(kStream, key_set);
    EXPECT_TRUE(shows_secure(0));
    EXPECT_EQ(tdi.state(), TdiState::kConfigLocked);
  }
  // The set that was taken over from has no keys any more.
  EXPECT_EQ(ide(wire::IdeKmKSetGo{kStream, kAny, 0}).error().code, Errno::kIo);
}

TEST_F(DsmIdeTest, AStreamStaysSecureWhileItsSubStreamsChangeSetOneByOne) {
  bring_up_stream(kStream, 0);
  for (const auto selector : selectors(1)) {
    program({kStream, selector, 0, key(selector.raw)});
    EXPECT_TRUE(ide(wire::IdeKmKSetGo{kStream, selector, 0}));
    EXPECT_TRUE(shows_secure(0));
  }
}

TEST_F(DsmIdeTest, KeySetsAreKeptApart) {
  for (const auto selector : selectors(1)) program({kStream, selector, 0, key(selector.raw)});
  for (const auto selector : selectors(0))
    EXPECT_EQ(ide(wire::IdeKmKSetGo{kStream, selector, 0}).error().code, Errno::kIo);
  for (const auto selector : selectors(1))
    EXPECT_TRUE(ide(wire::IdeKmKSetGo{kStream, selector, 0}));
}

TEST_F(DsmIdeTest, AnotherSessionHasNoPartInThePort) {
  program({kStream, kAny, 0, key(1)});
  IdeResponder& responder = dsm.ide();
  const Bytes query = wire::encode_ide_km(wire::IdeKmQuery{0});
  EXPECT_FALSE(responder.answer(query, 5));
  dsm.session_ended(0);
  EXPECT_TRUE(responder.answer(query, 5));
  EXPECT_EQ(ide(wire::IdeKmKSetGo{kStream, kAny, 0}).error().code, Errno::kIo);
}

TEST_F(DsmIdeTest, AStreamIsSecureOnceEnabledWithItsKeys) {
  write_control(0, kStream, true);
  EXPECT_FALSE(shows_secure(0));
  bring_up_stream();
  EXPECT_TRUE(shows_secure(0));
  EXPECT_FALSE(shows_secure(1));
}

TEST_F(DsmIdeTest, DisablingTheStreamMovesItsTdisToError) {
  bring_up_stream();
  lock(kPf);
  write_control(0, kStream, false);
  EXPECT_EQ(tdi.state(), TdiState::kError);
  EXPECT_FALSE(shows_secure(0));
}

TEST_F(DsmIdeTest, RenamingAStreamMovesItsTdisToError) {
  bring_up_stream();
  lock(kPf);
  write_control(0, 7, true);
  EXPECT_EQ(tdi.state(), TdiState::kError);
}

TEST_F(DsmIdeTest, StreamsHaveKeysOfTheirOwn) {
  set_up_stream(1, 4);
  bring_up_stream(4);
  EXPECT_EQ(error_in(tdisp(wire::TdispLockInterface{0, kStream, 0, 0})),
            wire::TdispError::kInvalidRequest);
  EXPECT_EQ(error_in(tdisp(wire::TdispLockInterface{0, 4, 0, 0})), std::nullopt);
}

TEST_F(DsmIdeTest, ConventionalResetLosesKeysAndConnection) {
  bring_up_stream();
  const Bytes request =
      channel
          ->seal(wire::Protocol::kTdisp,
                 wire::encode_tdisp({wire::TdispFunctionId::of(kPf), wire::TdispGetVersion{}}))
          .value();
  dsm.reset();
  EXPECT_EQ(channel->open(wire::Protocol::kTdisp, dsm.answer(request)).error().code, Errno::kIo);
}

TEST_F(DsmIdeTest, DiscoveryListsDiscoveryAndSpdm) {
  const auto discover = [this](std::uint8_t index) {
    const Bytes request = wire::DoeDiscoveryRequest{index}.encode();
    const Bytes answer = dsm.answer(wire::DoeObject{1, 0, request}.encode());
    return wire::DoeDiscoveryResponse::decode(wire::DoeObject::decode(answer)->payload).value();
  };
  EXPECT_EQ(discover(0).type, 0);
  EXPECT_EQ(discover(0).next_index, 1);
  EXPECT_EQ(discover(1).type, 1);
  EXPECT_EQ(discover(1).next_index, 0);
  EXPECT_EQ(discover(2).vendor_id, 0xffff);
}

TEST_F(DsmIdeTest, ForeignDataObjectsGetNoAnswer) {
  EXPECT_TRUE(dsm.answer(wire::DoeObject{0x8086, 1, {}}.encode()).empty());
  EXPECT_TRUE(dsm.answer(wire::DoeObject{1, 2, {}}.encode()).empty());
  EXPECT_TRUE(dsm.answer({}).empty());
}

}  // namespace
}  // namespace teeio::device::testing
