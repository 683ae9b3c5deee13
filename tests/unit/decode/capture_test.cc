#include "decode/capture.h"

#include <gtest/gtest.h>

#include <cctype>
#include <optional>

#include "crypto/aead.h"
#include "unit/wire/golden.h"
#include "wire/doe.h"
#include "wire/ide_km.h"
#include "wire/transport_framing.h"

namespace teeio::decode {
namespace {

using wire::unhex;

constexpr std::uint32_t kSession = 0xfffeffff;

Bytes in_doe(wire::DoeType type, ByteView payload) {
  return wire::DoeObject{.type = static_cast<std::uint8_t>(type), .payload = payload}.encode();
}

wire::KeyLogLine key_of(wire::KeyLogSender sender, unsigned seed) {
  return {.session_id = kSession,
          .sender = sender,
          .phase = wire::KeyLogPhase::kData,
          .generation = 0,
          .aead = wire::SpdmAead::kAes256Gcm,
          .key = Bytes(32, static_cast<std::byte>(seed)),
          .iv = Bytes(12, static_cast<std::byte>(seed + 1))};
}

/// A record as DSP0277 has it, independent of the code that reads it.
Bytes sealed(const wire::KeyLogLine& line, std::uint64_t sequence, ByteView message,
             std::size_t sequence_bytes = 0) {
  Bytes text = wire::SecuredPlaintext{.application = message, .random = {}}.encode();
  const Bytes number = unhex("00 00");
  Bytes shown(number.begin(), number.begin() + static_cast<std::ptrdiff_t>(sequence_bytes));
  if (sequence_bytes != 0) shown[0] = static_cast<std::byte>(sequence);
  Bytes out = wire::encode_secured_header(line.session_id, shown, text.size() + 16);
  std::array<std::byte, 12> nonce{};
  std::ranges::copy(line.iv, nonce.begin());
  nonce[0] ^= static_cast<std::byte>(sequence);
  std::array<std::byte, 16> tag{};
  crypto::Aead(crypto::AeadAlgorithm::kAes256Gcm, crypto::Aead::Direction::kSeal, line.key)
      .seal(nonce, out, text, tag);
  out.insert(out.end(), text.begin(), text.end());
  out.insert(out.end(), tag.begin(), tag.end());
  return out;
}

std::optional<Field> field(const Message& message, std::string_view name) {
  for (const Field& f : message.fields.all())
    if (f.name == name) return f;
  return std::nullopt;
}
std::string text(const Message& message, std::string_view name) {
  const auto f = field(message, name);
  Text line;
  if (f) f->append_to(line);
  return f ? std::string(line.view()) : "(absent)";
}

/// What can be seen of a field, in either detail.
std::string shown(const Field& f) {
  Text both;
  f.append_to(both);
  f.append_whole_to(both);
  return std::string(both.view());
}

std::string nonce_text() {
  std::string text;
  for (unsigned i = 0; i < 32; ++i) text += "5a";
  return text;
}

struct CaptureTest : ::testing::Test {
  std::vector<Message> doe(wire::DoeType type, ByteView payload) {
    const Bytes object = in_doe(type, payload);
    const auto messages = capture.read({.data = object, .original_size = 0});
    return {messages.begin(), messages.end()};
  }
  std::vector<Message> spdm(std::string_view bytes) {
    return doe(wire::DoeType::kSpdm, unhex(bytes));
  }
  /// Algorithms with hashes of 48 and signatures of 96 bytes.
  void negotiate() {
    spdm("12 e1 00 00 00 00 00 00 c6 02 00 00 00 12 00 00 00 12 00 00");
    spdm("12 61 00 00 00 00 00 00 d6 02 00 00 00 12 00 00 00 12 00 00");
    wire::SpdmAlgorithms a{
        .measurement_specification = 1, .measurement_hash = 4, .base_asym = 0x80, .base_hash = 2};
    a.tables.dhe = 0x10;
    a.tables.aead = 2;
    doe(wire::DoeType::kSpdm, a.encode());
  }
  KeyRing ring() {
    KeyRing keys;
    keys.add(key_of(wire::KeyLogSender::kRequester, 1));
    keys.add(key_of(wire::KeyLogSender::kResponder, 7));
    return keys;
  }
  Capture capture{wire::LinkType::kPciDoe, ring(), {}};
};

TEST_F(CaptureTest, TellsDiscoveryRequestsFromResponsesByTheirTurn) {
  const auto request = doe(wire::DoeType::kDiscovery, unhex("01 00 00 00"));
  ASSERT_EQ(request.size(), 1U);
  EXPECT_EQ(request[0].sender, Sender::kRequester);
  EXPECT_EQ(text(request[0], "index"), "1");
  const auto response = doe(wire::DoeType::kDiscovery, unhex("01 00 01 02"));
  EXPECT_EQ(response[0].sender, Sender::kResponder);
  EXPECT_EQ(text(response[0], "next_index"), "2");
  EXPECT_EQ(response[0].packet, 2U);
}

TEST_F(CaptureTest, WhatIsOnlyGuessedSaysSo) {
  EXPECT_TRUE(doe(wire::DoeType::kDiscovery, unhex("01 00 00 00"))[0].sender_guessed);
  EXPECT_FALSE(spdm("10 84 00 00")[0].sender_guessed);
}

TEST_F(CaptureTest, ARequestThatWasDroppedShiftsNothingWhenDirectionsAreRecorded) {
  const Bytes request = in_doe(wire::DoeType::kDiscovery, unhex("00 00 00 00"));
  const auto read = [&](wire::PcapDirection direction) {
    return capture.read({.data = request, .original_size = 0, .direction = direction})[0];
  };
  for (int i = 0; i < 2; ++i) {  // the first was dropped
    const Message message = read(wire::PcapDirection::kInbound);
    EXPECT_EQ(message.sender, Sender::kRequester);
    EXPECT_FALSE(message.sender_guessed);
  }
  EXPECT_EQ(read(wire::PcapDirection::kOutbound).sender, Sender::kResponder);
}

TEST_F(CaptureTest, AnEmptyAnswerKeepsTheTurns) {
  doe(wire::DoeType::kDiscovery, unhex("00 00 00 00"));
  const auto none = capture.read({.data = {}, .original_size = 0});
  ASSERT_EQ(none.size(), 1U);
  EXPECT_EQ(none[0].name, "NO_ANSWER");
  EXPECT_EQ(none[0].sender, Sender::kResponder);
  EXPECT_TRUE(none[0].problem.empty());
  EXPECT_EQ(doe(wire::DoeType::kDiscovery, unhex("00 00 00 00"))[0].sender, Sender::kRequester);
}

TEST_F(CaptureTest, ACaptureOfTheHostsSideIsTurnedByItsFirstRequest) {
  const Bytes version = in_doe(wire::DoeType::kSpdm, unhex("10 84 00 00"));
  const auto out = wire::PcapDirection::kOutbound;
  EXPECT_EQ(capture.read({.data = version, .original_size = 0, .direction = out})[0].sender,
            Sender::kRequester);
  const Bytes discovery = in_doe(wire::DoeType::kDiscovery, unhex("00 00 00 00"));
  EXPECT_EQ(capture
                .read({.data = discovery,
                       .original_size = 0,
                       .direction = wire::PcapDirection::kInbound})[0]
                .sender,
            Sender::kResponder);
}

TEST_F(CaptureTest, ACaptureOfTheHostsSideIsTurnedByDiscovery) {
  const auto read = [&](std::string_view payload, wire::PcapDirection direction) {
    const Bytes object = in_doe(wire::DoeType::kDiscovery, unhex(payload));
    return capture.read({.data = object, .original_size = 0, .direction = direction})[0];
  };
  const Message request = read("00 00 00 00", wire::PcapDirection::kOutbound);
  EXPECT_EQ(request.sender, Sender::kRequester);
  EXPECT_EQ(text(request, "index"), "0");
  const Message response = read("01 00 00 01", wire::PcapDirection::kInbound);
  EXPECT_EQ(response.sender, Sender::kResponder);
  EXPECT_EQ(text(response, "next_index"), "1");
}

TEST_F(CaptureTest, WhatIsWrittenHereTellsAtWhichEnd) {
  const Bytes other = wire::DoeObject{.type = 0x7f, .payload = {}}.encode();
  const Message first = capture.read({.data = other,
                                      .original_size = 0,
                                      .direction = wire::PcapDirection::kInbound,
                                      .at_device = true})[0];
  EXPECT_EQ(first.sender, Sender::kRequester);
  EXPECT_FALSE(first.sender_guessed);
}

TEST_F(CaptureTest, UntilARequestTellsWhoseADirectionIsTheMessageTells) {
  const auto read = [&](ByteView object, wire::PcapDirection direction) {
    return capture.read({.data = object, .original_size = 0, .direction = direction})[0];
  };
  const Bytes other = wire::DoeObject{.type = 0x7f, .payload = {}}.encode();
  EXPECT_TRUE(read(other, wire::PcapDirection::kInbound).sender_guessed);
  const Bytes version = in_doe(wire::DoeType::kSpdm, unhex("10 04 00 00 00 01 00 12"));
  EXPECT_EQ(read(version, wire::PcapDirection::kInbound).sender, Sender::kResponder);
  const Bytes record =
      in_doe(wire::DoeType::kSecuredSpdm,
             sealed(key_of(wire::KeyLogSender::kRequester, 1), 0, unhex("12 e8 00 00")));
  EXPECT_EQ(read(record, wire::PcapDirection::kOutbound).sender, Sender::kRequester);
  const Message last = read(other, wire::PcapDirection::kInbound);
  EXPECT_EQ(last.sender, Sender::kResponder);
  EXPECT_FALSE(last.sender_guessed);
}

TEST_F(CaptureTest, PutsMctpPacketsTogether) {
  const auto packet = [](std::uint8_t flags, std::string_view bytes) {
    Writer w;
    wire::MctpPacketHeader{.flags = flags}.append_to(w);
    return w.bytes(unhex(bytes)).take();
  };
  const auto read = [&](ByteView bytes) {
    return capture.read({.data = bytes, .original_size = 0, .link = wire::LinkType::kMctp})[0];
  };
  EXPECT_EQ(read(packet(0x80, "05 10")).name, "FRAGMENT");
  EXPECT_EQ(read(packet(0xc1, "05 10 04 00 00 00 01 00 12")).name, "VERSION");  // another tag
  EXPECT_EQ(read(packet(0x10, "84")).name, "FRAGMENT");
  EXPECT_EQ(read(packet(0x60, "00 00")).name, "GET_VERSION");
  EXPECT_FALSE(read(packet(0x60, "00 00")).problem.empty());  // continues nothing
  read(packet(0x80, "05 10"));
  EXPECT_FALSE(read(packet(0x60, "84 00 00")).problem.empty());  // one is missing
}

/// A packet of MCTP, and the message that it is read as.
Message read_mctp(Capture& capture, unsigned flags, std::string_view bytes) {
  Writer w;
  wire::MctpPacketHeader{.flags = static_cast<std::uint8_t>(flags)}.append_to(w);
  const Bytes packet = w.bytes(unhex(bytes)).take();
  return capture.read({.data = packet, .original_size = 0, .link = wire::LinkType::kMctp})[0];
}

TEST_F(CaptureTest, TheTagOwnerBitTellsWhoSentAFragment) {
  for (const unsigned flags : {0x88U, 0x18U, 0x28U}) {
    const Message asks = read_mctp(capture, flags, "05 10");
    EXPECT_EQ(asks.sender, Sender::kRequester);
    EXPECT_FALSE(asks.sender_guessed);
  }
  for (const unsigned flags : {0x80U, 0x10U, 0x20U}) {
    const Message answers = read_mctp(capture, flags, "05 10");
    EXPECT_EQ(answers.sender, Sender::kResponder);
    EXPECT_FALSE(answers.sender_guessed);
  }
}

TEST_F(CaptureTest, FragmentsOfOneMessageHaveOneSender) {
  const Sender first = read_mctp(capture, 0x80, "06 10").sender;
  for (const unsigned flags : {0x10U, 0x20U}) {
    const Message more = read_mctp(capture, flags, "06 10");
    EXPECT_EQ(more.sender, first);
    EXPECT_TRUE(more.sender_guessed);
  }
  read_mctp(capture, 0x70, "06 10");
  EXPECT_NE(read_mctp(capture, 0x80, "06 10").sender, first);
}

TEST_F(CaptureTest, SaysThatAMessageHasNoLastFragment) {
  EXPECT_EQ(read_mctp(capture, 0x80, "05 10").problem, "");
  EXPECT_EQ(read_mctp(capture, 0x80, "05 10").problem,
            "the message before this one lacks its last MCTP packet");
  EXPECT_EQ(read_mctp(capture, 0x50, "84 00 00").name, "GET_VERSION");
  EXPECT_EQ(read_mctp(capture, 0x80, "05 10").problem, "");
}

TEST_F(CaptureTest, TellsWhichMessageTheCaptureEndsIn) {
  read_mctp(capture, 0xc0, "05 10 84 00 00");
  EXPECT_EQ(capture.unfinished(), std::nullopt);
  read_mctp(capture, 0x81, "05 10");
  read_mctp(capture, 0x82, "05 10");
  EXPECT_EQ(capture.unfinished(), 2U);
  read_mctp(capture, 0x51, "84 00 00");
  EXPECT_EQ(capture.unfinished(), 3U);
  read_mctp(capture, 0x52, "84 00 00");
  EXPECT_EQ(capture.unfinished(), std::nullopt);
}

TEST_F(CaptureTest, NamesAndFieldsComeFromTheMessage) {
  const auto version = spdm("10 04 00 00 00 02 00 11 00 12");
  ASSERT_EQ(version.size(), 1U);
  EXPECT_EQ(version[0].name, "VERSION");
  EXPECT_EQ(version[0].sender, Sender::kResponder);
  EXPECT_EQ(text(version[0], "versions"), "1.1,1.2");
}

TEST_F(CaptureTest, ReadsLayoutsThatDependOnWhatWasNegotiated) {
  negotiate();
  spdm("12 83 00 ff 11*32");
  const auto auth = spdm("12 03 00 01 cc*48 11*32 dd*48 00 00 99*96");
  EXPECT_EQ(auth[0].problem, "");
  EXPECT_EQ(text(auth[0], "signature"), "9999999999999999…(96)");
  // Without a summary asked for, the same bytes are another message.
  spdm("12 83 00 00 11*32");
  const auto plain = spdm("12 03 00 01 cc*48 11*32 00 00 99*96");
  EXPECT_EQ(plain[0].problem, "");
  EXPECT_EQ(text(plain[0], "summary_hash"), "(absent)");
}

TEST_F(CaptureTest, ASignatureIsThereOnlyWhenItWasAskedFor) {
  negotiate();
  spdm("12 e0 00 01");
  EXPECT_EQ(spdm("12 60 00 00 00 00 00 00 11*32 00 00")[0].problem, "");
  spdm("12 e0 01 01 11*32 00");
  EXPECT_EQ(spdm("12 60 00 00 00 00 00 00 11*32 00 00")[0].problem,
            "SPDM message is shorter than its fields");
}

TEST_F(CaptureTest, SaysWhyAMessageCannotBeDecoded) {
  EXPECT_EQ(spdm("20 84 00 00")[0].problem, "SPDM major version is not 1");
  EXPECT_EQ(spdm("12 99 00 00")[0].problem, "the table of SPDM messages has no such code");
  const Bytes stump = unhex("01 00 01");
  EXPECT_NE(capture.read({.data = stump, .original_size = 0})[0].problem, "");
  EXPECT_NE(capture.read({.data = stump, .original_size = 64})[0].problem, "");
}

TEST_F(CaptureTest, ShowsWhatIsInsideOfAnEncapsulatedRequest) {
  negotiate();
  const auto messages = spdm("12 6a 01 00 12 81 00 00");
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[1].name, "GET_DIGESTS");
  EXPECT_EQ(messages[1].depth, 1U);
}

TEST_F(CaptureTest, PutsChunksTogether) {
  EXPECT_EQ(spdm("12 85 00 01 00 00 00 00 02 00 00 00 04 00 00 00 12 81").size(), 1U);
  const auto last = spdm("12 85 01 01 01 00 00 00 02 00 00 00 00 00");
  ASSERT_EQ(last.size(), 2U);
  EXPECT_EQ(last[1].name, "GET_DIGESTS");
}

TEST_F(CaptureTest, AMissingChunkIsSaidAndNothingIsMadeOfTheRest) {
  EXPECT_EQ(spdm("12 85 00 01 00 00 00 00 02 00 00 00 06 00 00 00 12 81").size(), 1U);
  const auto third = spdm("12 85 01 01 02 00 00 00 02 00 00 00 00 00");
  ASSERT_EQ(third.size(), 2U);
  EXPECT_EQ(third[1].name, "CHUNKS");
  EXPECT_NE(third[1].problem.find("missing"), std::string_view::npos);
  EXPECT_EQ(spdm("12 85 01 01 03 00 00 00 02 00 00 00 00 00").size(), 1U);
}

TEST_F(CaptureTest, ChunksThatEndEarlyAreNoMessage) {
  EXPECT_EQ(spdm("12 85 00 01 00 00 00 00 02 00 00 00 40 00 00 00 12 81").size(), 1U);
  const auto last = spdm("12 85 01 01 01 00 00 00 02 00 00 00 00 00");
  ASSERT_EQ(last.size(), 2U);
  EXPECT_NE(last[1].problem.find("shorter"), std::string_view::npos) << last[1].name;
}

TEST_F(CaptureTest, AChunkThatIsSentAgainCountsOnce) {
  EXPECT_EQ(spdm("12 85 00 01 00 00 00 00 02 00 00 00 06 00 00 00 12 81").size(), 1U);
  EXPECT_EQ(spdm("12 85 00 01 01 00 00 00 02 00 00 00 00 00").size(), 1U);
  EXPECT_EQ(spdm("12 85 00 01 01 00 00 00 02 00 00 00 00 00").size(), 1U);
  const auto last = spdm("12 85 01 01 02 00 00 00 02 00 00 00 00 00");
  ASSERT_EQ(last.size(), 2U);
  EXPECT_EQ(last[1].name, "GET_DIGESTS");
}

TEST_F(CaptureTest, ChunksOfMoreThanAMebibyteAreSaid) {
  const auto first = spdm("12 85 00 01 00 00 00 00 02 00 00 00 01 00 10 00 12 81");
  ASSERT_EQ(first.size(), 2U);
  EXPECT_NE(first[1].problem.find("longer than any"), std::string_view::npos);
}

TEST_F(CaptureTest, OpensRecordsOfBothSenders) {
  const auto requester = key_of(wire::KeyLogSender::kRequester, 1);
  const auto responder = key_of(wire::KeyLogSender::kResponder, 7);
  const auto beat = doe(wire::DoeType::kSecuredSpdm, sealed(requester, 0, unhex("12 e8 00 00")));
  ASSERT_EQ(beat.size(), 1U);
  EXPECT_EQ(beat[0].name, "HEARTBEAT");
  EXPECT_EQ(beat[0].session, kSession);
  const auto ack = doe(wire::DoeType::kSecuredSpdm, sealed(responder, 0, unhex("12 68 00 00")));
  EXPECT_EQ(ack[0].name, "HEARTBEAT_ACK");
  EXPECT_EQ(ack[0].sender, Sender::kResponder);
  const auto next = doe(wire::DoeType::kSecuredSpdm, sealed(requester, 1, unhex("12 e8 00 00")));
  EXPECT_EQ(next[0].problem, "");
}

TEST_F(CaptureTest, OpensRecordsBehindAGapButNoneTwice) {
  const auto requester = key_of(wire::KeyLogSender::kRequester, 1);
  const Bytes third = sealed(requester, 3, unhex("12 e8 00 00"));
  EXPECT_EQ(doe(wire::DoeType::kSecuredSpdm, third)[0].name, "HEARTBEAT");
  EXPECT_EQ(doe(wire::DoeType::kSecuredSpdm, third)[0].problem, "no key of the log opens it");
}

TEST_F(CaptureTest, AWrongTagIsAProblemAndMovesNothing) {
  const auto requester = key_of(wire::KeyLogSender::kRequester, 1);
  Bytes bad = sealed(requester, 0, unhex("12 e8 00 00"));
  bad.back() ^= std::byte{1};
  const auto refused = doe(wire::DoeType::kSecuredSpdm, bad);
  EXPECT_EQ(refused[0].name, "RECORD");
  EXPECT_NE(refused[0].problem, "");
  const Bytes good = sealed(requester, 0, unhex("12 e8 00 00"));
  EXPECT_EQ(doe(wire::DoeType::kSecuredSpdm, good)[0].name, "HEARTBEAT");
}

TEST_F(CaptureTest, TakesTheNextKeyOfTheLogAfterAnUpdate) {
  KeyRing keys = ring();
  const auto updated = key_of(wire::KeyLogSender::kRequester, 20);
  keys.add(updated);
  Capture both(wire::LinkType::kPciDoe, std::move(keys), {});
  const auto read = [&](const wire::KeyLogLine& line, std::uint64_t sequence) {
    const Bytes object =
        in_doe(wire::DoeType::kSecuredSpdm, sealed(line, sequence, unhex("12 e9 01 01")));
    return both.read({.data = object, .original_size = 0})[0].name;
  };
  EXPECT_EQ(read(key_of(wire::KeyLogSender::kRequester, 1), 0), "KEY_UPDATE");
  EXPECT_EQ(read(updated, 0), "KEY_UPDATE");
  EXPECT_EQ(read(updated, 1), "KEY_UPDATE");
  EXPECT_EQ(read(key_of(wire::KeyLogSender::kRequester, 1), 1), "RECORD");  // the old key is past
}

TEST_F(CaptureTest, ConnectionsWithIdsAreConversationsOfTheirOwn) {
  const auto of = [&](std::uint16_t connection, ByteView message) {
    const Bytes object =
        wire::DoeObject{.type = std::to_underlying(wire::DoeType::kSpdmOfConnection),
                        .payload = message,
                        .connection = connection}
            .encode();
    return capture.read({.data = object, .original_size = 0})[0];
  };
  wire::SpdmAlgorithms a{.measurement_specification = 1, .base_asym = 0x80, .base_hash = 2};
  of(1, a.encode());
  a.base_hash = 1;
  of(2, a.encode());
  // DIGESTS of one slot: 48 bytes where SHA-384 was agreed on, 32 where SHA-256 was.
  EXPECT_EQ(of(1, unhex("12 01 00 01 ab*48")).problem, "");
  EXPECT_NE(of(1, unhex("12 01 00 01 ab*32")).problem, "");
  const Message second = of(2, unhex("12 01 00 01 ab*32"));
  EXPECT_EQ(second.problem, "");
  EXPECT_EQ(second.connection, 2);
  EXPECT_FALSE(spdm("10 84 00 00")[0].connection);
}

TEST_F(CaptureTest, FieldsHaveTheirBytesWhateverIsReadThen) {
  const auto asked = spdm("12 83 00 ff 5a*32");  // CHALLENGE: its nonce is decoded by value
  spdm("12 83 00 ff a5*32");
  EXPECT_EQ(shown(*field(asked[0], "nonce")), "5a5a5a5a5a5a5a5a…(32)" + nonce_text());
}

TEST_F(CaptureTest, WithoutALogARecordIsNoMistake) {
  Capture blind(wire::LinkType::kPciDoe, {}, {});
  const auto requester = key_of(wire::KeyLogSender::kRequester, 1);
  const Bytes object =
      in_doe(wire::DoeType::kSecuredSpdm, sealed(requester, 0, unhex("12 e8 00 00")));
  const auto messages = blind.read({.data = object, .original_size = 0});
  EXPECT_EQ(messages[0].name, "RECORD");
  EXPECT_EQ(messages[0].problem, "");
}

TEST_F(CaptureTest, HidesIdeKeysUnlessTheyAreToBeShown) {
  wire::IdeKey key;
  key.key.fill(std::byte{0xab});
  const Bytes prog = wire::encode_ide_km(wire::IdeKmKeyProg{
      1, wire::IdeKeySelector::make(0, wire::IdeDirection::kRx, wire::IdeSubStream::kPosted), 0,
      key});
  const Bytes message = wire::VendorDefined{.message = prog}.encode();
  const auto hidden = doe(wire::DoeType::kSpdm, message);
  ASSERT_EQ(hidden.size(), 1U);
  EXPECT_EQ(hidden[0].layer, "IDE_KM");
  EXPECT_EQ(hidden[0].name, "KEY_PROG");
  for (const Field& f : hidden[0].fields.all())
    EXPECT_EQ(shown(f).find("abab"), std::string::npos) << f.name;
  Capture open(wire::LinkType::kPciDoe, {}, {.show_keys = true});
  const Bytes object = in_doe(wire::DoeType::kSpdm, message);
  EXPECT_EQ(text(open.read({.data = object, .original_size = 0})[0], "key"),
            "abababababababab…(32)");
}

TEST_F(CaptureTest, HidesKeysInPiecesAndInOtherProtocolsToo) {
  // KEY_PROG's key in a chunk; CXL's IDE_KM; a PCI-SIG protocol that is unknown.
  for (const char* bytes :
       {"12 85 00 01 00 00 00 00 20 00 00 00 40 00 00 00 ab*32",
        "12 fe 00 00 07 00 02 98 1e 21 00 00 ab*32", "12 fe 00 00 03 00 02 01 00 21 00 09 ab*32"})
    for (const Message& message : spdm(bytes))
      for (const Field& f : message.fields.all())
        EXPECT_EQ(shown(f).find("abab"), std::string::npos) << message.name << " " << f.name;
  const auto other = spdm("12 fe 00 00 01 00 00 02 00 ab ab");
  EXPECT_EQ(text(other[0], "payload"), "abab");
}

TEST_F(CaptureTest, ReadsMctpInsideAndOutsideOfSessions) {
  Capture mctp(wire::LinkType::kMctp, ring(), {});
  const auto read = [&](wire::MctpType type, ByteView body) {
    Writer w;
    wire::MctpPacketHeader{}.append_to(w);
    w.bytes(wire::MctpMessage{.type = static_cast<std::uint8_t>(type), .body = body}.encode());
    const Bytes packet = w.take();
    return mctp.read({.data = packet, .original_size = 0})[0];
  };
  EXPECT_EQ(read(wire::MctpType::kSpdm, unhex("10 84 00 00")).name, "GET_VERSION");
  const Bytes record =
      sealed(key_of(wire::KeyLogSender::kRequester, 1), 2, unhex("05 12 e8 00 00"), 2);
  EXPECT_EQ(read(wire::MctpType::kSecured, record).name, "HEARTBEAT");
}

TEST(KeyLogText, NamesTheFirstBadLine) {
  const std::string good = key_of(wire::KeyLogSender::kRequester, 1).text();
  const KeyLogText log = parse_key_log("# comment\n\n" + good + "\nnonsense\n" + good);
  EXPECT_EQ(log.lines.size(), 2U);
  EXPECT_EQ(log.bad_line, 4U);
  EXPECT_EQ(parse_key_log(good).bad_line, 0U);
}

TEST(KeyLogText, ALastLineThatIsCutIsLeftOut) {
  const std::string good = key_of(wire::KeyLogSender::kRequester, 1).text();
  for (std::size_t size = 1; size < good.size(); ++size) {
    const KeyLogText log = parse_key_log(good + "\n" + good.substr(0, size));
    EXPECT_EQ(log.bad_line, 0U) << size;
    EXPECT_EQ(log.lines.size(), 1U) << size;
    EXPECT_EQ(log.cut_line, 2U) << size;
  }
  EXPECT_EQ(parse_key_log(good + "\n" + good.substr(0, 9)).cut_line, 2U);
}

TEST(KeyLogText, AKeyOfAnotherSizeThanTheAlgorithmsIsNone) {
  std::string line = key_of(wire::KeyLogSender::kRequester, 1).text();
  line.replace(line.find("AES-256-GCM"), 11, "AES-128-GCM");
  EXPECT_EQ(parse_key_log(line + "\n").bad_line, 1U);
}

TEST(KeyLogText, TakesAByteOrderMark) {
  const std::string line = key_of(wire::KeyLogSender::kRequester, 0xab).text();
  EXPECT_EQ(parse_key_log("\xef\xbb\xbf" + line + "\n").lines.size(), 1U);
}

TEST(KeyLogText, TakesDosLinesAndUpperCase) {
  std::string line = key_of(wire::KeyLogSender::kRequester, 0xab).text();
  const KeyLogText plain = parse_key_log(line + "\r\n" + line + "\r\n");
  EXPECT_EQ(plain.bad_line, 0U);
  EXPECT_EQ(plain.lines.size(), 2U);
  line.replace(line.find("0x"), 10, "0XFFFEFFFF");
  for (std::size_t at = line.find("GCM") + 3; at < line.size(); ++at)
    line[at] = static_cast<char>(std::toupper(static_cast<unsigned char>(line[at])));
  const KeyLogText upper = parse_key_log(line + "\n");
  ASSERT_EQ(upper.lines.size(), 1U) << upper.bad_why;
  EXPECT_EQ(upper.lines[0].key, plain.lines[0].key);
}

}  // namespace
}  // namespace teeio::decode
