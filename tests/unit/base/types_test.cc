#include "base/types.h"

#include <gtest/gtest.h>

namespace teeio {
namespace {

TEST(Bdf, ReadsBothFormsThatLinuxTakes) {
  EXPECT_EQ(Bdf::parse("0000:01:00.0"), (Bdf{0, 1, 0, 0}));
  EXPECT_EQ(Bdf::parse("10000:01:00.0"), std::nullopt) << "a domain has 16 bits here";
  EXPECT_EQ(Bdf::parse("ffff:ff:1f.7"), (Bdf{0xffff, 0xff, 31, 7}));
  EXPECT_EQ(Bdf::parse("3f:1d.5"), (Bdf{0, 0x3f, 0x1d, 5}));
}

TEST(Bdf, RefusesEverythingElse) {
  for (const char* text : {"",
                           ":",
                           ".",
                           "0",
                           "01:00",
                           "01:00.",
                           "01.00:0",
                           ":00.0",
                           "01::0",
                           "01:00.8",
                           "01:20.0",
                           "100:00.0",
                           "0000:100:00.0",
                           "0000:01:00.0 ",
                           " 0000:01:00.0",
                           "0000:01:00.0\n",
                           "0000-01-00.0",
                           "0000:01:00:0",
                           "-1:00.0",
                           "+1:00.0",
                           "0x01:00.0",
                           "01:00.0x",
                           "g1:00.0",
                           "0000:01:00",
                           "0000:00:01:00.0",
                           "01:00.-1",
                           "01:00.+1",
                           "tsm0",
                           "0000:",
                           "::::::::",
                           "00000000001:00:00.0"})
    EXPECT_EQ(Bdf::parse(text), std::nullopt) << '"' << text << '"';
}

TEST(Bdf, RefusesEveryOneCharacterChangeToANonDigit) {
  const std::string good = "0000:01:00.0";
  for (std::size_t i = 0; i < good.size(); ++i)
    for (const char c : {'\0', ' ', '-', '+', 'x', 'g', '/', ';', '\x80'}) {
      std::string bad = good;
      bad[i] = c;
      EXPECT_EQ(Bdf::parse(bad), std::nullopt) << '"' << bad << '"';
    }
}

TEST(Bdf, EveryRequesterIdSurvivesTextAndBack) {
  for (std::uint32_t rid = 0; rid <= 0xffff; ++rid) {
    const Bdf bdf = Bdf::from_rid(static_cast<std::uint16_t>(rid), 0x12);
    ASSERT_EQ(bdf.rid(), rid);
    ASSERT_EQ(Bdf::parse(bdf.str()), bdf) << bdf.str();
  }
}

TEST(Bdf, SpellsAsSysfsDoes) { EXPECT_EQ((Bdf{0x1a, 0xb, 0x1c, 3}).str(), "001a:0b:1c.3"); }

TEST(Address, PageAndOffsetMakeTheAddress) {
  const Gpa gpa{0x1234'5678};
  EXPECT_EQ(raw(page_of(gpa)), 0x1234'5000U);
  EXPECT_EQ(offset_in_page(gpa), 0x678U);
  EXPECT_EQ(page_of(gpa) + offset_in_page(gpa), gpa);
  EXPECT_EQ(gpa - page_of(gpa), 0x678U);
  EXPECT_TRUE(is_page_aligned(raw(page_of(gpa))));
  EXPECT_FALSE(is_page_aligned(raw(gpa)));
}

}  // namespace
}  // namespace teeio
