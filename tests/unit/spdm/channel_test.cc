#include "spdm/channel.h"

#include <gtest/gtest.h>

#include "wire/doe.h"

namespace teeio::spdm {
namespace {

using wire::Protocol;

const Bytes kLock(20, std::byte{0x83});
const Bytes kAnswer(36, std::byte{0x03});

Bytes spdm_object(ByteView message) { return wire::DoeObject{1, 1, message}.encode(); }

/// A requester and a responder that exchanged versions.
struct Pair {
  const std::unique_ptr<RequesterChannel> requester_end = make_plain_requester();
  const std::unique_ptr<ResponderChannel> responder_end = make_plain_responder();
  RequesterChannel& requester = *requester_end;
  ResponderChannel& responder = *responder_end;
  Pair() {
    while (auto object = requester.connect_request()) {
      auto answer = responder.open(*object);
      if (!requester.connect_response(std::get<Bytes>(answer))) break;
    }
  }
};

wire::SpdmError error_in(const std::variant<AppMessage, Bytes>& reply) {
  const auto doe = wire::DoeObject::decode(std::get<Bytes>(reply));
  return wire::SpdmError::decode(doe->payload).value();
}

TEST(Channel, ConnectsByExchangingVersions) {
  const Pair pair;
  EXPECT_TRUE(pair.requester.connected());
  EXPECT_FALSE(pair.requester.connect_request());
}

TEST(Channel, CarriesAMessageAndItsAnswer) {
  Pair pair;
  const auto request = pair.requester.seal(Protocol::kTdisp, kLock);
  ASSERT_TRUE(request);
  const auto received = pair.responder.open(*request);
  ASSERT_TRUE(std::holds_alternative<AppMessage>(received));
  EXPECT_EQ(std::get<AppMessage>(received).protocol, Protocol::kTdisp);
  EXPECT_EQ(std::get<AppMessage>(received).bytes, kLock);
  const auto answer =
      pair.requester.open(Protocol::kTdisp, pair.responder.seal({Protocol::kTdisp, kAnswer, 0}));
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer, kAnswer);
}

TEST(RequesterChannel, RefusesMessagesBeforeItIsConnected) {
  const auto requester_end = make_plain_requester();
  RequesterChannel& requester = *requester_end;
  EXPECT_EQ(requester.seal(Protocol::kTdisp, kLock).error().code, Errno::kNxio);
  EXPECT_EQ(requester.open(Protocol::kTdisp, {}).error().code, Errno::kNxio);
}

TEST(RequesterChannel, StaysUnconnectedWhenTheAnswerIsWrong) {
  const auto requester_end = make_plain_requester();
  RequesterChannel& requester = *requester_end;
  EXPECT_EQ(requester.connect_response({}).error().code, Errno::kInval);
  EXPECT_EQ(requester.connect_response(spdm_object(wire::SpdmVersionResponse{{0x11}}.encode()))
                .error()
                .code,
            Errno::kOpNotSupp);
  EXPECT_EQ(
      requester.connect_response(spdm_object(wire::SpdmError{0x10, 1, 0}.encode())).error().code,
      Errno::kIo);
  EXPECT_TRUE(requester.connect_request());
}

TEST(RequesterChannel, RefusesTheAnswerOfAnotherProtocol) {
  Pair pair;
  const Bytes answer = pair.responder.seal({Protocol::kIdeKm, kAnswer});
  EXPECT_EQ(pair.requester.open(Protocol::kTdisp, answer).error().code, Errno::kInval);
}

TEST(RequesterChannel, RefusesItsOwnRequestAsAnAnswer) {
  Pair pair;
  const Bytes request = pair.requester.seal(Protocol::kTdisp, kLock).value();
  EXPECT_EQ(pair.requester.open(Protocol::kTdisp, request).error().code, Errno::kInval);
}

TEST(RequesterChannel, AnObjectThatIsNotSpdmIsNoAnswer) {
  Pair pair;
  const Bytes secured = wire::DoeObject{1, 2, kAnswer}.encode();
  EXPECT_EQ(pair.requester.open(Protocol::kTdisp, secured).error().code, Errno::kAcces);
}

TEST(RequesterChannel, ReportsARefusalAsIoError) {
  Pair pair;
  EXPECT_EQ(pair.requester.open(Protocol::kTdisp, pair.responder.seal_refusal()).error().code,
            Errno::kIo);
}

TEST(RequesterChannel, RefusesTooLongAMessage) {
  Pair pair;
  EXPECT_EQ(pair.requester.seal(Protocol::kTdisp, Bytes(0x1001)).error().code, Errno::kTooBig);
}

TEST(ResponderChannel, RefusesMessagesBeforeVersions) {
  Pair pair;
  const Bytes request = pair.requester.seal(Protocol::kTdisp, kLock).value();
  pair.responder.reset();
  EXPECT_EQ(error_in(pair.responder.open(request)).code,
            std::to_underlying(wire::SpdmErrorCode::kUnexpectedRequest));
}

TEST(ResponderChannel, AnswersErrorsToWhatItDoesNotSpeak) {
  Pair pair;
  const auto code_for = [&pair](std::initializer_list<int> message) {
    Bytes bytes;
    for (const int value : message) bytes.push_back(static_cast<std::byte>(value));
    return wire::SpdmErrorCode{error_in(pair.responder.open(spdm_object(bytes))).code};
  };
  EXPECT_EQ(code_for({0x11, 0x84, 0, 0}), wire::SpdmErrorCode::kVersionMismatch);
  EXPECT_EQ(code_for({0x12, 0xe1, 0, 0}), wire::SpdmErrorCode::kUnsupportedRequest);
  EXPECT_EQ(code_for({0x11, 0xfe, 0, 0}), wire::SpdmErrorCode::kVersionMismatch);
  EXPECT_EQ(code_for({0x12, 0xfe, 0, 0}), wire::SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(code_for({}), wire::SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(wire::SpdmErrorCode{error_in(pair.responder.open({})).code},
            wire::SpdmErrorCode::kInvalidRequest);
}

}  // namespace
}  // namespace teeio::spdm
