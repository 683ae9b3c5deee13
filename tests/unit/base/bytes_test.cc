#include "base/bytes.h"

#include <gtest/gtest.h>

#include <array>

namespace teeio {
namespace {

constexpr std::array kFive{std::byte{0x01}, std::byte{0x02}, std::byte{0x03}, std::byte{0x04},
                           std::byte{0x05}};

TEST(Reader, ReadsLittleEndianInOrder) {
  Reader r(kFive);
  EXPECT_EQ(r.le<std::uint8_t>(), 0x01U);
  EXPECT_EQ(r.le<std::uint32_t>(), 0x05040302U);
  EXPECT_TRUE(r.ok());
  EXPECT_TRUE(r.rest().empty());
}

TEST(Reader, AShortReadGivesZeroAndEverythingAfterItToo) {
  Reader r(kFive);
  (void)r.le<std::uint16_t>();
  EXPECT_EQ(r.le<std::uint32_t>(), 0U);
  EXPECT_FALSE(r.ok());
  EXPECT_EQ(r.le<std::uint8_t>(), 0U) << "three bytes were left, but the reader has failed";
  EXPECT_TRUE(r.take(1).empty());
  EXPECT_TRUE(r.rest().empty());
  EXPECT_FALSE(r.ok());
}

TEST(Reader, EveryLengthShortOfAFieldFails) {
  for (std::size_t length = 0; length < 8; ++length) {
    const std::array<std::byte, 8> bytes{};
    Reader r(ByteView(bytes).first(length));
    (void)r.le<std::uint64_t>();
    EXPECT_FALSE(r.ok()) << length;
  }
}

TEST(Reader, TakeAndSkipStopAtTheEnd) {
  Reader r(kFive);
  EXPECT_EQ(r.take(2).size(), 2U);
  r.skip(3);
  EXPECT_TRUE(r.ok());
  EXPECT_TRUE(r.take(0).empty());
  EXPECT_TRUE(r.ok());
  r.skip(1);
  EXPECT_FALSE(r.ok());
}

TEST(Reader, AHugeCountIsShortAndDoesNotWrap) {
  Reader r(kFive);
  r.skip(1);
  EXPECT_TRUE(r.take(SIZE_MAX).empty());
  EXPECT_FALSE(r.ok());
}

TEST(Writer, WritesWhatAReaderReadsBack) {
  Writer w;
  w.le(std::uint8_t{0x12}).le(std::uint64_t{0x0123456789abcdef}).zeros(3).bytes(kFive);
  EXPECT_EQ(w.size(), 1U + 8U + 3U + 5U);
  const Bytes out = w.take();
  EXPECT_EQ(out[1], std::byte{0xef}) << "lowest byte first";
  Reader r(out);
  EXPECT_EQ(r.le<std::uint8_t>(), 0x12U);
  EXPECT_EQ(r.le<std::uint64_t>(), 0x0123456789abcdefU);
  r.skip(3);
  EXPECT_EQ(r.le<std::uint32_t>(), 0x04030201U);
  EXPECT_EQ(r.rest().size(), 1U);
  EXPECT_TRUE(r.ok());
}

TEST(BytesOf, ViewsAnObjectAndItsWritableTwinChangesIt) {
  std::uint32_t value = 0;
  writable_bytes_of(value)[0] = std::byte{7};
  EXPECT_EQ(value, 7U);
  EXPECT_EQ(bytes_of(value).size(), 4U);
  EXPECT_EQ(bytes_of(value)[0], std::byte{7});
}

}  // namespace
}  // namespace teeio
