#include "decode/text.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "unit/wire/golden.h"

namespace teeio::decode {
namespace {

TEST(Text, NumbersHaveTheirWidthAndBase) {
  Text text;
  text.add_number(7, 3, '0').add(' ').add_number(1234, 3, '0').add(' ').add_number(255, 16);
  text.add(' ').add_number(0xfe, 8, '0', 16).add(' ').add_number(~std::uint64_t{0});
  EXPECT_EQ(text.view(), "007 1234 ff 000000fe 18446744073709551615");
}

TEST(Text, BytesAreTwoDigitsEach) {
  Text text;
  text.add_hex(wire::unhex("00 0f f0 ff")).add_hex({});
  EXPECT_EQ(text.view(), "000ff0ff");
}

TEST(Text, GrowsAroundWhatIsThere) {
  Text text;
  std::string same;
  for (int i = 0; i < 1000; ++i) {
    text.add("ab").add('c').add(3, '.').add(std::string_view());
    same += "abc...";
  }
  text.add(same);
  EXPECT_EQ(text.view(), same + same);
}

TEST(Text, ACopyIsOfItsOwn) {
  Text text;
  text.add("one");
  Text copy = text;
  text.add(" more");
  copy.clear(std::numeric_limits<std::size_t>::max());
  copy.add("two");
  EXPECT_EQ(text.view(), "one more");
  EXPECT_EQ(copy.view(), "two");
}

TEST(Text, AListHasNothingBeforeItsFirst) {
  Text text;
  text.add("a=");
  List list(text, ',');
  list.next().add("1");
  list.next().add("2");
  EXPECT_EQ(text.view(), "a=1,2");
}

}  // namespace
}  // namespace teeio::decode
