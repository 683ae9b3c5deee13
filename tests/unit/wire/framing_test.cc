#include <gtest/gtest.h>

#include "golden.h"
#include "wire/key_log.h"
#include "wire/pcap.h"
#include "wire/secured_message.h"
#include "wire/transport_framing.h"

namespace teeio::wire {
namespace {

TEST(SecuredMessage, SplitsHeaderCiphertextAndTag) {
  const Bytes header = encode_secured_header(0xfffeffff, {}, 20);
  EXPECT_EQ(hex(header), "ff ff fe ff 14 00");
  Writer w;
  w.bytes(header).bytes(unhex("cc*4 99*16 00 00"));  // two bytes of DOE padding
  const Bytes all = w.take();
  const auto m = SecuredMessage::decode(all, 0);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->session_id, 0xfffeffffU);
  EXPECT_EQ(hex(m->ciphertext), "cc cc cc cc");
  EXPECT_EQ(hex(m->tag), hex(unhex("99*16")));
  EXPECT_EQ(hex(m->associated), hex(header));
  EXPECT_EQ(m->wire.size(), 26U);
}

TEST(SecuredMessage, CarriesPartOfItsNumberOverMctp) {
  const Bytes number = unhex("05 00");
  EXPECT_EQ(hex(encode_secured_header(1, number, 16)), "01 00 00 00 05 00 10 00");
  const Bytes all = unhex("01 00 00 00 05 00 10 00 99*16");
  const auto m = SecuredMessage::decode(all, 2);
  ASSERT_TRUE(m);
  EXPECT_EQ(hex(m->sequence), "05 00");
  EXPECT_TRUE(m->ciphertext.empty());
}

TEST(SecuredMessage, RefusesWhatHasNoRoomForATag) {
  EXPECT_FALSE(SecuredMessage::decode(unhex("01 00 00 00 0f 00 99*15"), 0));
  EXPECT_FALSE(SecuredMessage::decode(unhex("01 00 00 00 11 00 99*16"), 0));
  EXPECT_FALSE(SecuredMessage::decode(unhex("01 00 00 00 10"), 0));
}

TEST(SecuredPlaintext, HidesItsLengthBehindRandomBytes) {
  const Bytes application = unhex("12 e8 00 00");
  const Bytes random = unhex("ab");
  const Bytes all = SecuredPlaintext{.application = application, .random = random}.encode();
  EXPECT_EQ(hex(all), "04 00 12 e8 00 00 ab");
  const auto back = SecuredPlaintext::decode(all);
  ASSERT_TRUE(back);
  EXPECT_EQ(hex(back->application), "12 e8 00 00");
  EXPECT_FALSE(SecuredPlaintext::decode(unhex("05 00 12 e8 00 00")));
}

TEST(Mctp, TypeIsSevenBits) {
  const Bytes body = unhex("10 84 00 00");
  const Bytes all =
      MctpMessage{.type = static_cast<std::uint8_t>(MctpType::kSpdm), .body = body}.encode();
  EXPECT_EQ(hex(all), "05 10 84 00 00");
  const Bytes checked = unhex("86");
  const auto back = MctpMessage::decode(checked);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->type, 6);
  EXPECT_TRUE(back->integrity_check);
  EXPECT_FALSE(MctpMessage::decode({}));
}

TEST(MctpPacketHeader, HasFourBytes) {
  Writer w;
  MctpPacketHeader{}.append_to(w);
  const Bytes all = w.take();
  EXPECT_EQ(hex(all), "01 00 00 c0");
  EXPECT_TRUE(MctpPacketHeader::decode(all));
  EXPECT_FALSE(MctpPacketHeader::decode(ByteView(all).first(3)));
}

TEST(TcpBinding, LengthCountsWhatFollowsIt) {
  const Bytes body = unhex("10 84 00 00");
  const Bytes all =
      TcpBindingMessage{.type = static_cast<std::uint8_t>(TcpBindingType::kOutOfSession),
                        .body = body}
          .encode();
  EXPECT_EQ(hex(all), "06 00 01 05 10 84 00 00");
  EXPECT_EQ(TcpBindingMessage::size_of(all), 8U);
  EXPECT_EQ(TcpBindingMessage::size_of(ByteView(all).first(1)), 0U);
  ASSERT_TRUE(TcpBindingMessage::decode(all));
  EXPECT_FALSE(TcpBindingMessage::decode(ByteView(all).first(7)));
  EXPECT_EQ(TcpBindingMessage::decode(unhex("02 00 02 05")).error().code, Errno::kOpNotSupp);
  EXPECT_FALSE(TcpBindingMessage::decode(unhex("01 00 01")));
}

TEST(TcpBinding, OfNothingButATypeHasNoLength) {
  const Bytes inquiry = TcpBindingMessage{
      .type = std::to_underlying(TcpBindingType::kRoleInquiry),
      .body = {}}.encode();
  EXPECT_EQ(hex(inquiry), "00 00 01 bf");
  for (const char* either : {"00 00 01 bf", "02 00 01 bf"}) {
    const Bytes bytes = unhex(either);
    EXPECT_EQ(TcpBindingMessage::size_of(bytes), 4U);
    const auto message = TcpBindingMessage::decode(bytes);
    ASSERT_TRUE(message) << either;
    EXPECT_EQ(message->type, 0xbf);
    EXPECT_TRUE(message->body.empty());
  }
  EXPECT_TRUE(TcpBindingMessage::decode(unhex("00 00 01 c2")));
  EXPECT_EQ(TcpBindingMessage::decode(unhex("00 00 01 05")).error().code, Errno::kInval);
  EXPECT_FALSE(TcpBindingMessage::decode(unhex("01 00 01 bf")));
}

/// A reader of bytes that are there; views them.
class PcapTest : public ::testing::Test {
 protected:
  Result<PcapReader> open(ByteView file) {
    source_.emplace(file);
    return PcapReader::open(*source_);
  }
  std::optional<ViewSource> source_;
};

TEST_F(PcapTest, ReadsWhatItWrote) {
  const Bytes data = unhex("01 00 01 00 03 00 00 00 10 84 00 00");
  Writer w;
  w.bytes(PcapHeader{LinkType::kPciDoe}.encode());
  w.bytes(PcapPacket{.time_ns = 1'000'002'000, .data = data}.encode());
  const Bytes file = w.take();
  EXPECT_EQ(hex(ByteView(file).first(40)),
            hex(unhex("d4 c3 b2 a1 02 00 04 00 00*8 00 00 01 00 24 01 00 00 "
                      "01 00 00 00 02 00 00 00 0c 00 00 00 0c 00 00 00")));
  auto reader = open(file);
  ASSERT_TRUE(reader);
  const auto packet = reader->next();
  ASSERT_TRUE(packet && *packet);
  EXPECT_EQ((*packet)->link, LinkType::kPciDoe);
  EXPECT_EQ((*packet)->direction, PcapDirection::kUnknown);
  EXPECT_EQ((*packet)->time_ns, 1'000'002'000U);
  EXPECT_EQ(hex((*packet)->data), hex(data));
  EXPECT_EQ(reader->next(), std::nullopt);
}

TEST_F(PcapTest, KeepsTheBeginningOfAPacketThatIsTooLong) {
  const Bytes data(PcapHeader::kSnapLength + 1);
  Writer w;
  w.bytes(PcapHeader{}.encode()).bytes(PcapPacket{.data = data}.encode());
  const Bytes file = w.take();
  auto reader = open(file);
  ASSERT_TRUE(reader);
  const auto packet = reader->next();
  ASSERT_TRUE(packet && *packet);
  EXPECT_EQ((*packet)->data.size(), PcapHeader::kSnapLength);
  EXPECT_EQ((*packet)->original_size, data.size());
}

TEST_F(PcapTest, ReadsTheOtherByteOrderAndNanoseconds) {
  const Bytes file = unhex(
      "a1 b2 3c 4d 00 02 00 04 00*8 00 00 ff ff 00 00 01 23 "
      "00 00 00 01 00 00 00 02 00 00 00 01 00 00 00 01 05");
  auto reader = open(file);
  ASSERT_TRUE(reader) << reader.error().why;
  const auto packet = reader->next();
  ASSERT_TRUE(packet && *packet);
  EXPECT_EQ((*packet)->link, LinkType::kMctp);
  EXPECT_EQ((*packet)->time_ns, 1'000'000'002U);
}

/// The upper half of the field tells of checksums behind packets.
TEST_F(PcapTest, ALinkTypeIsSixteenBits) {
  Bytes file = PcapHeader{LinkType::kPciDoe}.encode();
  file[23] = std::byte{0xfc};
  EXPECT_TRUE(open(file));
}

TEST_F(PcapTest, SaysThatAPcapngHeaderIsCut) {
  const Bytes section = pcapng_section();
  for (std::size_t size = 5; size < 14; ++size)
    EXPECT_EQ(open(ByteView(section).first(size)).error().why,
              "the capture is shorter than its header");
}

TEST_F(PcapTest, RefusesWhatIsNoCaptureAndSaysWhatItIs) {
  EXPECT_EQ(open({}).error().code, Errno::kNoData);
  EXPECT_EQ(open(unhex("d4 c3")).error().code, Errno::kInval);
  for (const auto& [begin, how] :
       {std::pair{"1f 8b 08 00 00*20", "gunzip"}, std::pair{"fd 37 7a 58 5a 00*20", "xz -dc"},
        std::pair{"28 b5 2f fd 00*20", "zstd -dc"}, std::pair{"42 5a 68 39 00*20", "bzip2 -dc"}}) {
    const auto packed = open(unhex(begin));
    EXPECT_EQ(packed.error().code, Errno::kOpNotSupp);
    EXPECT_NE(packed.error().why.find(how), std::string_view::npos) << how;
  }
  Bytes ethernet = PcapHeader{}.encode();
  ethernet[20] = std::byte{1};
  ethernet[21] = std::byte{0};
  EXPECT_EQ(open(ethernet).error().code, Errno::kOpNotSupp);
  EXPECT_FALSE(open(ByteView(ethernet).first(23)));
}

TEST_F(PcapTest, RefusesAPacketThatLeavesTheFile) {
  const Bytes cut = unhex("d4 c3 b2 a1 02 00 04 00 00*8 00 00 10 00 24 01 00 00 00*8 02 00 00 00");
  auto reader = open(cut);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->next().error().code, Errno::kInval);
  const Bytes huge =
      unhex("d4 c3 b2 a1 02 00 04 00 00*8 00 00 10 00 24 01 00 00 00*8 ff*4 ff*4 00");
  auto second = open(huge);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->next().error().code, Errno::kTooBig);
}

TEST_F(PcapTest, PcapngKeepsDirectionsEmptyPacketsAndSeveralLinks) {
  const Bytes data = unhex("01 00 01 00 03");  // padded in its block
  Writer w;
  w.bytes(pcapng_section()).bytes(pcapng_interface(LinkType::kPciDoe));
  w.bytes(pcapng_packet(
      0, {.time_ns = 1'000'000'007, .data = data, .direction = PcapDirection::kInbound}));
  w.bytes(pcapng_interface(LinkType::kMctp));
  w.bytes(pcapng_packet(1, {.data = {}, .direction = PcapDirection::kOutbound}));
  const Bytes file = w.take();
  auto reader = open(file);
  ASSERT_TRUE(reader) << reader.error().why;
  const auto first = reader->next();
  ASSERT_TRUE(first && *first) << first.error().why;
  EXPECT_EQ(hex((*first)->data), hex(data));
  EXPECT_EQ((*first)->time_ns, 1'000'000'007U);
  EXPECT_EQ((*first)->direction, PcapDirection::kInbound);
  EXPECT_TRUE((*first)->at_device);
  const auto second = reader->next();
  ASSERT_TRUE(second && *second);
  EXPECT_EQ((*second)->link, LinkType::kMctp);
  EXPECT_TRUE((*second)->data.empty());
  EXPECT_EQ((*second)->direction, PcapDirection::kOutbound);
  EXPECT_EQ(reader->next(), std::nullopt);
}

TEST_F(PcapTest, PcapngAddsItsInterfacesOffset) {
  const Bytes file = unhex(
      "0a 0d 0d 0a 1c 00 00 00 4d 3c 2b 1a 01 00 00 00 ff*8 1c 00 00 00 "
      "01 00 00 00 24 00 00 00 24 01 00 00 00 00 00 00 "
      "0e 00 08 00 e8 03 00 00 00 00 00 00 00 00 00 00 24 00 00 00 "
      "06 00 00 00 20 00 00 00 00 00 00 00 00 00 00 00 05 00 00 00 00 00 00 00 00 00 00 00 "
      "20 00 00 00");
  auto reader = open(file);
  ASSERT_TRUE(reader) << reader.error().why;
  const auto packet = reader->next();
  ASSERT_TRUE(packet && *packet) << packet.error().why;
  EXPECT_EQ((*packet)->time_ns, 1'000'000'005'000U);
}

/// Two bytes, a second and a microsecond after 1970.
void expect_packet(PcapReader& reader, PcapDirection direction) {
  const auto packet = reader.next();
  ASSERT_TRUE(packet && *packet) << packet.error().why;
  EXPECT_EQ(hex((*packet)->data), "be ef");
  EXPECT_EQ((*packet)->time_ns, 1'000'001'000U);
  EXPECT_EQ((*packet)->direction, direction);
}

/// As others write it: big-endian, microseconds, unknown blocks, an option before the flags.
TEST_F(PcapTest, PcapngOfOthersIsRead) {
  const Bytes file = unhex(
      "0a 0d 0d 0a 00 00 00 1c 1a 2b 3c 4d 00 01 00 00 ff*8 00 00 00 1c "
      "00 00 00 01 00 00 00 14 01 24 00 00 00 00 00 00 00 00 00 14 "
      "00 00 00 05 00 00 00 10 aa bb cc dd 00 00 00 10 "
      "00 00 00 06 00 00 00 38 00 00 00 00 00 00 00 00 00 0f 42 41 00 00 00 02 00 00 00 02 "
      "be ef 00 00 00 01 00 01 78 00 00 00 00 02 00 04 00 00 00 02 00 00 00 00 00 00 00 38 "
      "00 00 00 03 00 00 00 14 00 00 00 01 aa 00 00 00 00 00 00 14");
  auto reader = open(file);
  ASSERT_TRUE(reader) << reader.error().why;
  expect_packet(*reader, PcapDirection::kOutbound);
  const auto simple = reader->next();
  ASSERT_TRUE(simple && *simple) << simple.error().why;
  EXPECT_EQ(hex((*simple)->data), "aa");
}

/// The obsolete packet block, in both byte orders: its interface has 16 bits.
TEST_F(PcapTest, PcapngsOfOldToolsAreRead) {
  for (const char* const text :
       {"0a 0d 0d 0a 1c 00 00 00 4d 3c 2b 1a 01 00 00 00 ff*8 1c 00 00 00 "
        "01 00 00 00 14 00 00 00 24 01 00 00 00 00 00 00 14 00 00 00 "
        "02 00 00 00 30 00 00 00 00 00 07 00 00 00 00 00 41 42 0f 00 02 00 00 00 02 00 00 00 "
        "be ef 00 00 02 00 04 00 01 00 00 00 00 00 00 00 30 00 00 00",
        "0a 0d 0d 0a 00 00 00 1c 1a 2b 3c 4d 00 01 00 00 ff*8 00 00 00 1c "
        "00 00 00 01 00 00 00 14 01 24 00 00 00 00 00 00 00 00 00 14 "
        "00 00 00 02 00 00 00 30 00 00 00 07 00 00 00 00 00 0f 42 41 00 00 00 02 00 00 00 02 "
        "be ef 00 00 00 02 00 04 00 00 00 01 00 00 00 00 00 00 00 30"}) {
    const Bytes file = unhex(text);
    auto reader = open(file);
    ASSERT_TRUE(reader) << reader.error().why;
    expect_packet(*reader, PcapDirection::kInbound);
  }
}

TEST_F(PcapTest, EveryPrefixAndEveryFlippedBitOfPcapngEnds) {
  const Bytes data(5);
  Writer w;
  w.bytes(pcapng_section()).bytes(pcapng_interface(LinkType::kPciDoe));
  w.bytes(pcapng_packet(0, {.data = data, .direction = PcapDirection::kInbound}));
  const Bytes file = w.take();
  const auto read_all = [&](ByteView bytes) {
    auto reader = open(bytes);
    if (!reader) return false;
    for (;;) {
      const auto packet = reader->next();
      if (!packet) return false;
      if (!*packet) return true;
    }
  };
  EXPECT_TRUE(read_all(file));
  for (std::size_t size = 0; size < file.size(); ++size)
    EXPECT_EQ(read_all(ByteView(file).first(size)), size == 28 || size == 72) << size;
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    Bytes flipped = file;
    flipped[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    (void)read_all(flipped);
  }
}

TEST(KeyLog, RoundTrips) {
  const KeyLogLine line{.session_id = 0xfffe0102,
                        .sender = KeyLogSender::kResponder,
                        .phase = KeyLogPhase::kData,
                        .generation = 3,
                        .aead = SpdmAead::kAes128Gcm,
                        .key = unhex("0a*16"),
                        .iv = unhex("b0*12")};
  EXPECT_EQ(line.text(),
            "SPDM 0xfffe0102 responder data 3 AES-128-GCM 0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a "
            "b0b0b0b0b0b0b0b0b0b0b0b0");
  const auto back = KeyLogLine::parse(line.text());
  ASSERT_TRUE(back) << back.error().why;
  EXPECT_EQ(*back, line);
}

TEST(KeyLog, RefusesEveryPrefixAndMore) {
  const std::string good =
      KeyLogLine{.session_id = 1, .key = unhex("0a*32"), .iv = unhex("b0*12")}.text();
  for (std::size_t size = 0; size < good.size(); ++size) {
    // A shorter IV is still hexadecimal; crypto refuses its size.
    if (size > good.rfind(' ') && (good.size() - size) % 2 == 0 && size > good.rfind(' ') + 1)
      continue;
    EXPECT_FALSE(KeyLogLine::parse(good.substr(0, size))) << size;
  }
  EXPECT_FALSE(KeyLogLine::parse(good + " "));
  EXPECT_FALSE(KeyLogLine::parse("SPDM 0x1 nobody data 0 AES-256-GCM 00 00"));
  EXPECT_FALSE(KeyLogLine::parse("SPDM 0x1 requester data 0 ROT-13 00 00"));
}

}  // namespace
}  // namespace teeio::wire
