#include "wire/cbor.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "base/hex.h"

namespace teeio::wire {
namespace {

// RFC 8949, appendix A.
TEST(Cbor, HeadsAreTheShortest) {
  EXPECT_EQ(to_hex(Cbor().integer(23).take()), "17");
  EXPECT_EQ(to_hex(Cbor().integer(24).take()), "1818");
  EXPECT_EQ(to_hex(Cbor().integer(1000).take()), "1903e8");
  EXPECT_EQ(to_hex(Cbor().integer(1'000'000).take()), "1a000f4240");
  EXPECT_EQ(to_hex(Cbor().integer(1'000'000'000'000).take()), "1b000000e8d4a51000");
  EXPECT_EQ(to_hex(Cbor().integer(-1).take()), "20");
  EXPECT_EQ(to_hex(Cbor().integer(-1000).take()), "3903e7");
  EXPECT_EQ(to_hex(Cbor().text("IETF").take()), "6449455446");
  EXPECT_EQ(to_hex(Cbor().tag(1).integer(1'363'896'240).take()), "c11a514b67b0");
  EXPECT_EQ(
      to_hex(Cbor().map(2).text("a").integer(1).text("b").array(2).integer(2).integer(3).take()),
      "a26161016162820203");
}

TEST(CborReader, GivesBackWhatWasWritten) {
  const Bytes written = Cbor()
                            .tag(907)
                            .map(1)
                            .integer(-1000)
                            .array(3)
                            .bytes(Bytes(300, std::byte{7}))
                            .text("a")
                            .integer(std::numeric_limits<std::int64_t>::max())
                            .take();
  CborReader in(written);
  EXPECT_EQ(in.next(), CborMajor::kTag);
  EXPECT_EQ(in.tag(), 907U);
  EXPECT_EQ(in.map(), 1U);
  EXPECT_EQ(in.next(), CborMajor::kNegative);
  EXPECT_EQ(in.integer(), -1000);
  EXPECT_EQ(in.array(), 3U);
  EXPECT_EQ(in.owned_bytes(), Bytes(300, std::byte{7}));
  EXPECT_EQ(in.text(), "a");
  EXPECT_FALSE(in.ended());
  EXPECT_EQ(in.integer(), std::numeric_limits<std::int64_t>::max());
  EXPECT_TRUE(in.ended());
  CborReader skipped(written);
  skipped.skip();
  EXPECT_TRUE(skipped.ended());
}

/// Whether that is one item, read by `read`.
template <class Read>
bool reads(const std::string& hex, Read read) {
  const Bytes bytes = *from_hex(hex);
  CborReader in(bytes);
  read(in);
  return in.ended();
}
const auto kSkip = [](CborReader& in) { in.skip(); };

TEST(CborReader, RefusesWhatIsCutShortOrOfIndefiniteLength) {
  EXPECT_TRUE(reads("1818", [](CborReader& in) { (void)in.integer(); }));
  EXPECT_TRUE(reads("1817", [](CborReader& in) { (void)in.integer(); })) << "longer than needed";
  for (const char* const hex : {"", "18", "19ff", "43aabb", "82", "8201", "a101", "c1", "5f41aaff",
                                "9f01ff", "bf0102ff", "1c", "1e", "3d"})
    EXPECT_FALSE(reads(hex, kSkip)) << hex;
}

TEST(CborReader, NumbersAreOf63Bits) {
  const auto number = [](CborReader& in) { (void)in.integer(); };
  EXPECT_TRUE(reads("1b7fffffffffffffff", number));
  EXPECT_FALSE(reads("1b8000000000000000", number));
  EXPECT_TRUE(reads("3b7fffffffffffffff", number));
  EXPECT_FALSE(reads("3b8000000000000000", number));
}

// A head that promises four thousand millions costs nothing.
TEST(CborReader, CountsAreNoMoreThanBytes) {
  EXPECT_FALSE(reads("9affffffff", [](CborReader& in) { EXPECT_EQ(in.array(), 0U); }));
  EXPECT_FALSE(reads("bbffffffffffffffff", [](CborReader& in) { EXPECT_EQ(in.map(), 0U); }));
  EXPECT_FALSE(reads("a201020304", [](CborReader& in) { (void)in.map(); })) << "more follows";
  EXPECT_FALSE(reads("bb8000000000000001", kSkip)) << "twice that many is one";
}

TEST(CborReader, SkipsNoDeeperThanTokensNest) {
  std::string nested;
  for (int i = 0; i < 16; ++i) nested += "81";
  EXPECT_TRUE(reads(nested + "00", kSkip));
  EXPECT_FALSE(reads("81" + nested + "00", kSkip));
  std::string tags;
  for (int i = 0; i < 100'000; ++i) tags += "c1";
  EXPECT_FALSE(reads(tags + "00", kSkip));
}

TEST(CborReader, AnotherTypeThanAskedForEndsIt) {
  const Bytes bytes = *from_hex("0102");
  CborReader in(bytes);
  EXPECT_TRUE(in.bytes().empty());
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.integer(), 0) << "nothing more is read";
}

}  // namespace
}  // namespace teeio::wire
