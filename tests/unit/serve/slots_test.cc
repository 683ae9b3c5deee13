// Certificate slots and key pairs of a served device, as a requester changes them.
#include "serve/slots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "crypto/csr.h"
#include "unit/spdm/ends.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_encapsulated.h"
#include "wire/spdm_events.h"
#include "wire/spdm_key_pairs.h"
#include "wire/spdm_measurements.h"
#include "wire/spdm_session.h"

namespace teeio::serve {
namespace {

using Operation = wire::SpdmKeyPairOperation;
using wire::SpdmErrorCode;

/// A requester before a device whose slots it may change.
class Provisioned {
 public:
  explicit Provisioned(const SlotFill& fill, std::uint32_t capabilities = kAll)
      : slots_(5, fill), ends_(theirs(), ours(capabilities)) {
    ends_.requester.connect();
    connected_ = ends_.run().has_value();
  }

  [[nodiscard]] bool connected() const { return connected_; }
  Bytes ask(Bytes request) { return ask_in(spdm::kNoSession, std::move(request)); }
  Bytes ask_inside(Bytes request) { return ask_in(session_, std::move(request)); }
  Bytes ask_in(std::uint32_t session, Bytes request) {
    ends_.requester.send_raw(session, std::move(request));
    if (!ends_.run()) return {};
    const ByteView answer = ends_.requester.raw_answer();
    return {answer.begin(), answer.end()};
  }
  /// nullopt: no ERROR.
  std::optional<SpdmErrorCode> error_of(Bytes request) {
    const Bytes answer = ask(std::move(request));
    const auto error = wire::SpdmError::decode(answer);
    return error ? std::optional(static_cast<SpdmErrorCode>(error->code)) : std::nullopt;
  }
  std::optional<SpdmErrorCode> set(Operation operation, std::uint8_t pair, std::uint8_t slots = 0,
                                   std::uint16_t usage = 0, std::uint32_t asym = 0) {
    return error_of(wire::SpdmSetKeyPairInfo{.version = wire::kSpdmVersion13,
                                             .operation = std::to_underlying(operation),
                                             .key_pair = pair,
                                             .usage = usage,
                                             .asym = asym,
                                             .slot_mask = slots}
                        .encode());
  }
  std::optional<wire::SpdmKeyPairInfo> pair(std::uint8_t number) {
    told_ =
        ask(wire::SpdmGetKeyPairInfo{.version = wire::kSpdmVersion13, .key_pair = number}.encode());
    const auto info = wire::SpdmKeyPairInfo::decode(told_);
    return info ? std::optional(*info) : std::nullopt;
  }
  /// Slots that DIGESTS has.
  std::uint8_t shown() {
    const Bytes answer = ask({std::byte{0x13}, std::byte{0x81}, std::byte{0}, std::byte{0}});
    return answer.size() < 4 ? std::uint8_t{0} : std::to_integer<std::uint8_t>(answer[3]);
  }
  Slots& slots() { return slots_; }
  bool open_session() {
    session_ = ends_.open_session({.policy = wire::kSpdmPolicyAllEvents}).value_or(0);
    return session_ != spdm::kNoSession;
  }
  ByteView fetch_events() {
    ends_.requester.answer_encapsulated(session_);
    return ends_.run() ? ends_.requester.last_events() : ByteView{};
  }

  static constexpr std::uint32_t kAll =
      wire::kSpdmCapMultiKeyNegotiated | wire::kSpdmCapGetKeyPairInfo |
      wire::kSpdmCapSetKeyPairInfo | wire::kSpdmCapCsr | wire::kSpdmCapSetCert;

 private:
  static spdm::RequesterConfig theirs() {
    spdm::RequesterConfig config;
    config.settings.versions = {wire::kSpdmVersion13};
    config.settings.algorithms.other_params |= wire::kSpdmMultiKeyConn;
    config.settings.flags = spdm::default_requester_flags() | wire::kSpdmCapEncap;
    return config;
  }
  spdm::ResponderConfig ours(std::uint32_t capabilities) {
    spdm::ResponderConfig config;
    config.credentials = &slots_;
    config.provisioning = &slots_;
    config.settings.flags = spdm::default_responder_flags() | capabilities;
    return config;
  }

  Slots slots_;
  spdm::Ends ends_;
  Bytes told_;
  bool connected_ = false;
  std::uint32_t session_ = spdm::kNoSession;
};

TEST(SlotKeyPairs, AreNumberedWithoutGapsWhateverSlotsTheyFill) {
  const crypto::Pki& fifth = spdm::pki();
  Provisioned device(
      {.slots = 2, .single = {nullptr, nullptr, nullptr, nullptr, nullptr, &fifth.device}});
  ASSERT_TRUE(device.connected());
  for (std::uint8_t number = 1; number <= 3; ++number) {
    const auto pair = device.pair(number);
    ASSERT_TRUE(pair) << unsigned{number};
    EXPECT_EQ(pair->total, 3);
    EXPECT_EQ(pair->slot_mask, number == 3 ? 0x20 : 1U << (number - 1U));
  }
  EXPECT_FALSE(device.pair(0));
  EXPECT_FALSE(device.pair(4));
}

TEST(SlotKeyPairs, OneSharedChainIsOnePair) {
  const crypto::Pki& all = spdm::pki();
  Provisioned device({.slots = 3, .shared = &all.device});
  ASSERT_TRUE(device.connected());
  const auto pair = device.pair(1);
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->total, 1);
  EXPECT_EQ(pair->slot_mask, 0x7);
}

TEST(SlotKeyPairs, APairIsReplacedStepByStep) {
  Provisioned device({.slots = 2});
  ASSERT_TRUE(device.connected());
  const auto before = device.pair(2);
  ASSERT_TRUE(before);
  EXPECT_EQ(before->current_asym, wire::kSpdmKeyPairEcc384);
  EXPECT_NE(before->capabilities & wire::kSpdmKeyPairGenerate, 0);
  // While a slot has it, it stays.
  EXPECT_EQ(device.set(Operation::kErase, 2), SpdmErrorCode::kOperationFailed);
  EXPECT_EQ(device.set(Operation::kGenerate, 2), SpdmErrorCode::kOperationFailed);
  EXPECT_EQ(device.shown(), 0x3);
  EXPECT_EQ(device.set(Operation::kChange, 2, 0), std::nullopt);
  EXPECT_EQ(device.shown(), 0x1);
  EXPECT_EQ(device.set(Operation::kErase, 2), std::nullopt);
  auto now = device.pair(2);
  ASSERT_TRUE(now);
  EXPECT_EQ(now->total, 2);
  EXPECT_EQ(now->current_asym, wire::kSpdmKeyPairEcc384);
  EXPECT_EQ(now->current_usage, 0);
  EXPECT_TRUE(now->public_key_info.empty());
  EXPECT_EQ(device.error_of(wire::SpdmGetCsr{.version = 0x13, .key_pair = 2}.encode()),
            SpdmErrorCode::kInvalidRequest);
  // A new key for slot 1, which shows nothing until it has a chain.
  EXPECT_EQ(device.set(Operation::kGenerate, 2, 0x2, wire::kSpdmKeyUseChallenge), std::nullopt);
  now = device.pair(2);
  ASSERT_TRUE(now);
  EXPECT_EQ(now->slot_mask, 0x2);
  EXPECT_EQ(now->current_usage, wire::kSpdmKeyUseChallenge);
  EXPECT_EQ(device.shown(), 0x1);
  const Bytes answer = device.ask(wire::SpdmGetCsr{.version = 0x13, .key_pair = 2}.encode());
  const auto csr = wire::SpdmCsr::decode(answer);
  ASSERT_TRUE(csr);
  const auto made = device.slots().key_pair({.pair = 2});
  ASSERT_TRUE(made && made->key);
  EXPECT_TRUE(crypto::verify_certification_request(csr->csr, *made->key));
}

TEST(SlotKeyPairs, SlotsAreNotTakenFromOthersAndSlot0KeepsItsOwn) {
  Provisioned device({.slots = 2});
  ASSERT_TRUE(device.connected());
  EXPECT_EQ(device.set(Operation::kChange, 2, 0x1), SpdmErrorCode::kOperationFailed);
  EXPECT_EQ(device.set(Operation::kChange, 1, 0x0), SpdmErrorCode::kOperationFailed);
  EXPECT_EQ(device.set(Operation::kChange, 1, 0x3), SpdmErrorCode::kOperationFailed);
  EXPECT_EQ(device.set(Operation::kChange, 1, 0x5), std::nullopt);
  EXPECT_EQ(device.pair(1)->slot_mask, 0x5);
  EXPECT_EQ(device.shown(), 0x3);
}

TEST(SlotKeyPairs, WhatAPairIsUsedForHoldsFromThenOn) {
  Provisioned device({.slots = 2});
  ASSERT_TRUE(device.connected());
  EXPECT_EQ(device.set(Operation::kChange, 2, 0x2, wire::kSpdmKeyUseMeasurement), std::nullopt);
  const wire::SpdmChallenge challenge{.version = 0x13, .slot = 1};
  EXPECT_EQ(device.error_of(challenge.encode()), SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(device.set(Operation::kChange, 2, 0x2, 0xf), std::nullopt);
  EXPECT_EQ(device.error_of(challenge.encode()), std::nullopt);
}

TEST(SlotKeyPairs, EventsThatNobodyFetchesAreLostAndThatIsTold) {
  Provisioned device({.slots = 2}, Provisioned::kAll | wire::kSpdmCapEvent);
  ASSERT_TRUE(device.connected());
  ASSERT_TRUE(device.open_session());
  // Slot 1 shows its chain, and shows it not: an event each time.
  for (unsigned i = 0; i < 18; ++i)
    ASSERT_EQ(device.set(Operation::kChange, 2, i % 2 == 0 ? 0 : 2), std::nullopt);
  const auto told = wire::SpdmSendEvent::decode(device.fetch_events());
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->count, 17U);
  ByteView rest = told->events;
  for (unsigned i = 0; i < 16; ++i) {
    const auto event = wire::SpdmEvent::take(rest);
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(event->instance, i);
    EXPECT_EQ(event->type, std::to_underlying(wire::SpdmEventType::kCertificateChanged));
    EXPECT_THAT(event->detail, testing::ElementsAre(std::byte{2}));
  }
  const auto lost = wire::SpdmEvent::take(rest);
  ASSERT_TRUE(lost.has_value());
  EXPECT_EQ(lost->type, std::to_underlying(wire::SpdmEventType::kEventLost));
  EXPECT_EQ(std::to_integer<int>(lost->detail[4]), 17);  // the last that was lost
}

TEST(SlotKeyPairs, AnAcknowledgementIsOfTheEventsThatWereSent) {
  Provisioned device({.slots = 2}, Provisioned::kAll | wire::kSpdmCapEvent);
  ASSERT_TRUE(device.connected());
  ASSERT_TRUE(device.open_session());
  ASSERT_EQ(device.set(Operation::kChange, 2, 0), std::nullopt);
  const Bytes sent = device.ask_inside(wire::SpdmGetEncapsulatedRequest{.version = 0x13}.encode());
  const auto request = wire::SpdmEncapsulatedRequest::decode(sent);
  ASSERT_TRUE(request.has_value());
  ASSERT_EQ(device.set(Operation::kChange, 2, 2), std::nullopt);  // before the answer is there
  const Bytes ack = wire::SpdmEventAck{.version = 0x13}.encode();
  const wire::SpdmDeliverEncapsulatedResponse answer{
      .version = 0x13, .request_id = request->request_id, .response = ack};
  const Bytes taken = device.ask_inside(answer.encode());
  ASSERT_TRUE(wire::SpdmEncapsulatedResponseAck::decode(taken).has_value());
  const auto told = wire::SpdmSendEvent::decode(device.fetch_events());
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->count, 1U);
  ByteView rest = told->events;
  EXPECT_EQ(wire::SpdmEvent::take(rest)->instance, 1U);
}

TEST(SlotKeyPairs, NonsenseIsRefused) {
  Provisioned device({.slots = 1});
  ASSERT_TRUE(device.connected());
  EXPECT_EQ(device.set(Operation{3}, 1, 0x1), SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(device.set(Operation::kChange, 0, 0x1), SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(device.set(Operation::kChange, 2, 0x1), SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(device.set(Operation::kChange, 1, 0x1, 0x100), SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(device.set(Operation::kChange, 1, 0x1, 0, wire::kSpdmKeyPairEcc256),
            SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(device.error_of({std::byte{0x13}, std::byte{0xfd}, std::byte{0}}),
            SpdmErrorCode::kInvalidRequest);
}

TEST(SlotKeyPairs, ASlotsModelIsTheOneThatItsChainWasSetWith) {
  Provisioned device({.slots = 1});
  ASSERT_TRUE(device.connected());
  const auto model = [&] {
    const Bytes answer = device.ask({std::byte{0x13}, std::byte{0x81}, std::byte{0}, std::byte{0}});
    const auto digests = wire::SpdmDigests::decode(answer, {.hash = 48, .multi_key = true});
    return digests && !digests->cert_models.empty() ? std::to_integer<int>(digests->cert_models[0])
                                                    : -1;
  };
  EXPECT_EQ(model(), 1);
  const auto* const held = device.slots().credential(0, crypto::SignatureAlgorithm::kEcdsaP384,
                                                     crypto::HashAlgorithm::kSha384);
  ASSERT_NE(held, nullptr);
  const Bytes chain =
      crypto::encode_spdm_chain(held->identity->chain, crypto::HashAlgorithm::kSha384);
  const auto set = [&](std::uint8_t with) {
    return device.error_of(wire::SpdmSetCertificate{
        .version = 0x13, .slot = 0, .cert_model = with, .key_pair = 1, .chain = chain}
                               .encode());
  };
  EXPECT_EQ(set(2), std::nullopt);
  EXPECT_EQ(model(), 2);
  EXPECT_EQ(set(3), std::nullopt);
  EXPECT_EQ(model(), 3);
  EXPECT_EQ(set(4), SpdmErrorCode::kInvalidRequest);
  EXPECT_EQ(model(), 3);
}

TEST(SlotKeyPairs, WithoutTheCapabilityNothingCanBeSet) {
  Provisioned device({.slots = 1}, wire::kSpdmCapMultiKeyNegotiated | wire::kSpdmCapGetKeyPairInfo);
  ASSERT_TRUE(device.connected());
  EXPECT_EQ(device.set(Operation::kChange, 1, 0x1), SpdmErrorCode::kUnsupportedRequest);
  EXPECT_EQ(device.pair(1)->capabilities, 0);
}

}  // namespace
}  // namespace teeio::serve
