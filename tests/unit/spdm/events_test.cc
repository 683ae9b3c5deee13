// Events of SPDM 1.3: subscriptions, and SEND_EVENT inside of encapsulated requests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "spdm/opaque.h"
#include "unit/spdm/ends.h"
#include "wire/spdm_events.h"
#include "wire/spdm_session.h"

namespace teeio::spdm {
namespace {

using wire::SpdmErrorCode;
using wire::SpdmEventType;

/// Blocks that a test changes.
class Changing final : public MeasurementSource {
 public:
  [[nodiscard]] std::vector<Measurement> measurements() override { return blocks; }
  std::vector<Measurement> blocks = {{.index = 1, .value = bytes("one")},
                                     {.index = 9, .value = bytes("nine")}};
};

class Eventful : public testing::Test {
 protected:
  static RequesterConfig theirs() {
    RequesterConfig config = Ends::requester_config();
    config.settings.versions = {wire::kSpdmVersion13};
    config.settings.flags = default_requester_flags() | wire::kSpdmCapEncap;
    return config;
  }
  ResponderConfig ours(std::uint32_t more = wire::kSpdmCapEvent) {
    ResponderConfig config = Ends::responder_config();
    config.measurements = &measured;
    config.settings.flags = default_responder_flags() | more;
    return config;
  }
  /// nullopt: no ERROR.
  std::optional<SpdmErrorCode> error_of(Bytes request, std::uint32_t in) {
    ends.requester.send_raw(in, std::move(request));
    if (!ends.run()) return SpdmErrorCode::kVendorDefined;
    const auto error = wire::SpdmError::decode(ends.requester.raw_answer());
    return error ? std::optional(static_cast<SpdmErrorCode>(error->code)) : std::nullopt;
  }
  static Bytes group(std::uint32_t attributes, std::vector<SpdmEventType> wanted,
                     std::uint8_t registry = 0) {
    Writer types;
    for (const SpdmEventType type : wanted) types.le(std::to_underlying(type)).zeros(2);
    const Bytes list = types.take();
    wire::SpdmEventGroup group;
    group.registry = registry;
    group.attributes = attributes;
    group.types = list;
    Writer out;
    group.append_to(out);
    return out.take();
  }
  std::optional<SpdmErrorCode> subscribe(std::uint8_t count, ByteView groups) {
    wire::SpdmSubscribeEventTypes request;
    request.group_count = count;
    request.groups = groups;
    return error_of(request.encode(), session);
  }
  std::optional<SpdmErrorCode> subscribe_to_all() {
    return subscribe(1, group(wire::kSpdmAllEventTypes, {}));
  }
  /// The types and details that SEND_EVENT brings; none: there was nothing to ask.
  std::vector<std::pair<std::uint16_t, Bytes>> events() {
    ends.requester.answer_encapsulated(session);
    if (!ends.run()) return {};
    const auto told = wire::SpdmSendEvent::decode(ends.requester.last_events());
    if (!told) return {};
    std::vector<std::pair<std::uint16_t, Bytes>> all;
    ByteView rest = told->events;
    while (const auto event = wire::SpdmEvent::take(rest)) {
      all.emplace_back(event->type, Bytes(event->detail.begin(), event->detail.end()));
      instances.push_back(event->instance);
    }
    return all;
  }
  void open(Requester::SessionWanted wanted = {}) {
    const auto opened = ends.open_session(wanted);
    ASSERT_TRUE(opened.has_value()) << opened.error().why;
    session = *opened;
  }

  static constexpr std::uint16_t kMeasurement = 2;
  Changing measured;
  Ends ends{theirs(), ours()};
  std::uint32_t session = kNoSession;
  std::vector<std::uint32_t> instances;
};

TEST_F(Eventful, SupportedTypesAreThoseThatCanCome) {
  open();
  ends.requester.send_raw(session, wire::SpdmGetSupportedEventTypes{.version = 0x13}.encode());
  ASSERT_TRUE(ends.run());
  const auto told = wire::SpdmSupportedEventTypes::decode(ends.requester.raw_answer());
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->group_count, 1);
  ByteView rest = told->groups;
  const auto group = wire::SpdmEventGroup::take(rest);
  ASSERT_TRUE(group.has_value());
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(group->types.size(), 12U);
}

TEST_F(Eventful, SubscriptionsNeedASession) {
  open();
  const Bytes request = wire::SpdmGetSupportedEventTypes{.version = 0x13}.encode();
  EXPECT_EQ(error_of(request, kNoSession), SpdmErrorCode::kSessionRequired);
}

TEST_F(Eventful, AChangedMeasurementIsToldOnceAndByItsIndex) {
  open();
  ASSERT_EQ(subscribe_to_all(), std::nullopt);
  EXPECT_TRUE(events().empty());
  measured.blocks[1].value = bytes("changed");
  Bytes bits(32);
  bits[1] = std::byte{2};  // index 9
  EXPECT_THAT(events(), testing::ElementsAre(testing::Pair(kMeasurement, bits)));
  ends.requester.answer_encapsulated(session);
  EXPECT_FALSE(ends.run());  // nothing is pending
  // A block that is new, and one that is gone.
  measured.blocks = {{.index = 1, .value = bytes("one")}, {.index = 2, .value = bytes("two")}};
  bits[0] = std::byte{4};
  EXPECT_THAT(events(), testing::ElementsAre(testing::Pair(kMeasurement, bits)));
  EXPECT_THAT(instances, testing::ElementsAre(0, 1));
}

TEST_F(Eventful, OnlySubscribedTypesComeAndOnlyWhileTheyAre) {
  open();
  ASSERT_EQ(subscribe(1, group(0, {SpdmEventType::kEventLost})), std::nullopt);
  measured.blocks[0].value = bytes("changed");
  EXPECT_TRUE(events().empty());
  ASSERT_EQ(subscribe_to_all(), std::nullopt);
  ASSERT_EQ(subscribe(0, {}), std::nullopt);
  measured.blocks[0].value = bytes("changed again");
  EXPECT_TRUE(events().empty());
}

TEST_F(Eventful, KeyExchangeCanSubscribeToEverything) {
  open({.policy = wire::kSpdmPolicyAllEvents});
  measured.blocks[0].value = bytes("changed");
  EXPECT_EQ(events().size(), 1U);
}

TEST_F(Eventful, PskExchangeCanAskForEverythingOnlyWhereThereAreEvents) {
  const Bytes hint = bytes("hint");
  const Bytes context(32);
  for (const bool offered : {true, false}) {
    ResponderConfig config = ours(offered ? std::uint32_t{wire::kSpdmCapEvent} : 0);
    config.psks = {{hint, bytes("key")}};
    Ends with_psk(theirs(), std::move(config));
    with_psk.requester.connect();
    ASSERT_TRUE(with_psk.run());
    const Bytes opaque = offer_secured_versions(*with_psk.requester.negotiated());
    for (const std::uint8_t policy : {std::uint8_t{0}, wire::kSpdmPolicyAllEvents}) {
      const wire::SpdmPskExchange request{.version = 0x13,
                                          .policy = policy,
                                          .session_id = policy,
                                          .hint = hint,
                                          .context = context,
                                          .opaque = opaque};
      with_psk.requester.send_raw(kNoSession, request.encode());
      ASSERT_TRUE(with_psk.run());
      const bool refused = wire::SpdmError::decode(with_psk.requester.raw_answer()).has_value();
      EXPECT_EQ(refused, policy != 0 && !offered) << unsigned{policy};
    }
  }
}

TEST_F(Eventful, GroupsThatMakeNoSenseAreRefused) {
  open();
  const Bytes all = group(wire::kSpdmAllEventTypes, {});
  Bytes cut = all;
  cut.pop_back();
  const std::pair<std::uint8_t, Bytes> bad[] = {
      {2, all},
      {1, cut},
      {1, group(0, {})},
      {1, group(wire::kSpdmAllEventTypes, {SpdmEventType::kEventLost})},
      {1, group(0, {SpdmEventType::kMeasurementPreUpdate})},
      {1, group(0, {SpdmEventType{77}})},
      {1, group(wire::kSpdmAllEventTypes, {}, 3)}};
  for (const auto& [count, groups] : bad)
    EXPECT_EQ(subscribe(count, groups), SpdmErrorCode::kInvalidRequest) << unsigned{count};
}

TEST_F(Eventful, WithoutTheCapabilityThereAreNone) {
  Ends plain(theirs(), ours(0));
  const auto opened = plain.open_session();
  ASSERT_TRUE(opened.has_value());
  plain.requester.send_raw(*opened, wire::SpdmGetSupportedEventTypes{.version = 0x13}.encode());
  ASSERT_TRUE(plain.run());
  const auto error = wire::SpdmError::decode(plain.requester.raw_answer());
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, std::to_underlying(SpdmErrorCode::kUnsupportedRequest));
  Ends asking(theirs(), ours(0));
  EXPECT_FALSE(asking.open_session({.policy = wire::kSpdmPolicyAllEvents}));
}

}  // namespace
}  // namespace teeio::spdm
