#include <gtest/gtest.h>

#include "decode/capture.h"
#include "unit/spdm/ends.h"
#include "wire/doe.h"
#include "wire/ide_km.h"
#include "wire/tdisp_messages.h"
#include "wire/transport_framing.h"

// What our requester and responder say to each other, captured and read again: the
// two rooms know nothing of each other, so one's mistake is not the other's.
namespace teeio::decode {
namespace {

/// Keeps the keys of one end.
class KeysSeen final : public spdm::Observer {
 public:
  [[nodiscard]] bool wants_keys() const override { return true; }
  void keys(const wire::KeyLogLine& line) override { lines.push_back(line); }
  std::vector<wire::KeyLogLine> lines;
};

/// A connection whose packets and keys are kept.
class Recorded {
 public:
  explicit Recorded(spdm::Transport transport, std::uint8_t version = wire::kSpdmVersion14,
                    std::uint32_t requester_flags = 0)
      : transport_(transport) {
    auto responder = spdm::Ends::responder_config();
    auto requester = spdm::Ends::requester_config();
    responder.settings.transport = transport;
    requester.settings.transport = transport;
    requester.settings.versions = {version};
    requester.settings.flags = requester_flags;
    requester.observer = &keys_;
    requester_.emplace(std::move(requester));
    responder_.emplace(std::move(responder));
  }

  spdm::Requester& requester() { return *requester_; }
  void run() {
    while (const spdm::Message* request = requester_->request()) {
      const Bytes there = keep(spdm::wrap(transport_, spdm::view(*request)));
      auto step = responder_->receive(*spdm::unwrap(transport_, there));
      if (const auto* app = std::get_if<spdm::AppRequest>(&step))
        step = *responder_->answer(Bytes(app->payload));
      const Bytes back = keep(spdm::wrap(transport_, spdm::view(std::get<spdm::Message>(step))));
      const auto taken = requester_->take(*spdm::unwrap(transport_, back));
      ASSERT_TRUE(taken) << taken.error().why;
    }
    ASSERT_FALSE(requester_->failure());
  }
  std::uint32_t open_session() {
    requester().connect();
    requester().get_certificates(0);
    requester().open_session({});
    run();
    return requester().last_session().value_or(0);
  }
  /// Everything so far, as `teeio decode` sees it.
  std::vector<Message> decoded(wire::LinkType link) const {
    KeyRing ring;
    for (const wire::KeyLogLine& line : keys_.lines)
      if (line.dhe_secret.empty()) ring.add(*wire::KeyLogLine::parse(line.text()));
    Capture capture(link, std::move(ring), {});
    std::vector<Message> all;
    for (const Bytes& packet : packets_)
      for (const Message& message : capture.read({.data = packet, .original_size = 0}))
        all.push_back(message);
    return all;
  }

 private:
  Bytes keep(Bytes packet) {
    Writer w;
    if (transport_ == spdm::Transport::kMctp) wire::MctpPacketHeader{}.append_to(w);
    packets_.push_back(w.bytes(packet).take());
    return packet;
  }

  const spdm::Transport transport_;
  KeysSeen keys_;
  std::optional<spdm::Requester> requester_;
  std::optional<spdm::Responder> responder_;
  std::vector<Bytes> packets_;
};

constexpr std::array kPciSig{std::byte{1}, std::byte{0}};

void expect_readable(const std::vector<Message>& messages) {
  for (const Message& message : messages) {
    EXPECT_EQ(message.problem, "") << message.packet << " " << message.name;
    EXPECT_NE(message.layer, "SECURED") << message.packet;
    for (const Field& field : message.fields.all())
      EXPECT_NE(field.name, "trailing_bytes") << message.packet << " " << message.name;
  }
}

std::size_t count(const std::vector<Message>& messages, std::string_view name) {
  return static_cast<std::size_t>(
      std::ranges::count_if(messages, [&](const Message& m) { return m.name == name; }));
}

TEST(Conversation, OfMoreThanAreKeptTheOneThatIsSilentLongestGoes) {
  Capture capture(wire::LinkType::kPciDoe, {}, {});
  const auto say = [&](std::optional<std::uint16_t> id, ByteView message) {
    const auto type = id ? wire::DoeType::kSpdmOfConnection : wire::DoeType::kSpdm;
    const Bytes object =
        wire::DoeObject{
            .type = std::to_underlying(type), .payload = message, .connection = id.value_or(0)}
            .encode();
    return capture.read({.data = object, .original_size = 0})[0].problem;
  };
  // A digest of 32 bytes is none of SHA-384; who agreed on it is not forgotten.
  const wire::SpdmAlgorithms sha384{
      .measurement_specification = 1, .base_asym = 0x80, .base_hash = 2};
  Bytes digests(4 + 32);
  digests[0] = std::byte{0x12};
  digests[1] = std::byte{0x01};
  digests[3] = std::byte{0x01};
  EXPECT_EQ(say(std::nullopt, sha384.encode()), "");
  for (std::uint16_t id = 0; id < 15; ++id) EXPECT_EQ(say(id, sha384.encode()), "");
  EXPECT_NE(say(0, digests), "");
  EXPECT_EQ(say(15, sha384.encode()), "");
  EXPECT_NE(say(std::nullopt, digests), "");
  EXPECT_NE(say(0, digests), "");
  for (std::uint16_t id = 2; id <= 15; ++id) EXPECT_NE(say(id, digests), "") << id;
  EXPECT_EQ(say(1, digests), "") << "forgotten";
}

TEST(Conversation, OfASessionOverDoeIsReadableToItsEnd) {
  Recorded talk(spdm::Transport::kPciDoe);
  const std::uint32_t session = talk.open_session();
  Writer tdisp;
  tdisp.le(std::uint8_t{1}).bytes(wire::encode_tdisp({{0xbeef}, wire::TdispGetVersion{}}));
  const Bytes payload = tdisp.take();
  talk.requester().send_app(session, 3, kPciSig, payload);
  talk.requester().heartbeat(session);
  talk.requester().update_keys(session, spdm::Requester::KeyUpdate::kAll);
  talk.requester().measure({.session = session});
  talk.requester().end_session(session);
  talk.run();
  const auto messages = talk.decoded(wire::LinkType::kPciDoe);
  expect_readable(messages);
  EXPECT_EQ(count(messages, "FINISH_RSP"), 1U);
  EXPECT_EQ(count(messages, "GET_TDISP_VERSION"), 2U);  // this responder echoes
  EXPECT_EQ(count(messages, "KEY_UPDATE"), 2U);
  EXPECT_EQ(count(messages, "END_SESSION_ACK"), 1U);
  EXPECT_EQ(messages.back().session, session);
}

TEST(Conversation, OverMctpIsReadableToo) {
  Recorded talk(spdm::Transport::kMctp);
  const std::uint32_t session = talk.open_session();
  talk.requester().heartbeat(session);
  talk.requester().end_session(session);
  talk.run();
  const auto messages = talk.decoded(wire::LinkType::kMctp);
  expect_readable(messages);
  EXPECT_EQ(count(messages, "HEARTBEAT_ACK"), 1U);
}

// DSP0277: without ENCRYPT_CAP messages are authenticated and travel in the clear.
TEST(Conversation, ThatIsOnlyAuthenticatedIsReadable) {
  Recorded talk(spdm::Transport::kPciDoe, wire::kSpdmVersion12,
                spdm::default_requester_flags() & ~wire::kSpdmCapEncrypt);
  const std::uint32_t session = talk.open_session();
  talk.requester().heartbeat(session);
  talk.run();
  const auto messages = talk.decoded(wire::LinkType::kPciDoe);
  expect_readable(messages);
  EXPECT_EQ(count(messages, "HEARTBEAT_ACK"), 1U);
}

TEST(Conversation, OfEveryVersionIsReadable) {
  for (const std::uint8_t version :
       {wire::kSpdmVersion10, wire::kSpdmVersion11, wire::kSpdmVersion12, wire::kSpdmVersion13}) {
    Recorded talk(spdm::Transport::kPciDoe, version);
    talk.requester().connect();
    talk.requester().get_certificates(0);
    talk.requester().challenge(0, spdm::MeasurementSummary::kAll);
    talk.requester().measure({});
    if (version >= wire::kSpdmVersion11) talk.requester().open_session({});
    talk.run();
    const auto messages = talk.decoded(wire::LinkType::kPciDoe);
    expect_readable(messages);
    EXPECT_EQ(count(messages, "CHALLENGE_AUTH"), 1U) << unsigned{version};
    EXPECT_EQ(count(messages, "MEASUREMENTS"), 1U) << unsigned{version};
  }
}

}  // namespace
}  // namespace teeio::decode
