#include "decode/fields.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "unit/wire/golden.h"

namespace teeio::decode {
namespace {

std::vector<std::string> lines(const Fields& fields) {
  std::vector<std::string> all;
  for (const Field& field : fields.all()) {
    Text line;
    field.append_to(line.add(field.name).add('='));
    all.emplace_back(line.view());
  }
  return all;
}

TEST(Fields, NamesOfSeveralHaveTheirNumber) {
  Fields f;
  f.number({"block", 12}, 1);
  f.bytes({"block", 12, ".value"}, wire::unhex("abcd"));
  f.word({"slot", 0}, "empty");
  EXPECT_EQ(lines(f),
            (std::vector<std::string>{"block[12]=1", "block[12].value=abcd", "slot[0]=empty"}));
}

TEST(Fields, AWordMayBeMadeInItsPlace) {
  Fields f;
  f.word("versions", [](Text& out) { add_versions(out, std::vector<std::uint8_t>{0x10, 0x1f}); });
  f.version("one", 0x12);
  f.word("none", [](Text&) {});
  EXPECT_EQ(lines(f), (std::vector<std::string>{"versions=1.0,1.15", "one=1.2", "none="}));
}

TEST(Fields, WhatIsAbsentIsNoField) {
  Fields f;
  f.bytes("bytes", {});
  f.size("size", {});
  f.flag("off", false);
  EXPECT_TRUE(f.empty());
}

TEST(Fields, AKeyIsHiddenUnlessItIsToBeShown) {
  Fields hidden;
  hidden.key("key", wire::unhex("ab*32"));
  EXPECT_EQ(lines(hidden), (std::vector<std::string>{"key=(32 bytes hidden)"}));
  Fields shown(/*show_keys=*/true);
  shown.key("key", wire::unhex("abcd"));
  EXPECT_EQ(lines(shown), (std::vector<std::string>{"key=abcd"}));
}

TEST(Fields, NothingOfAMessageIsLeftForTheNext) {
  Fields f;
  for (std::size_t i = 0; i < 1000; ++i) f.word({"event", i}, "long enough to need memory");
  const Fields copy = f;
  f.clear();
  EXPECT_TRUE(f.empty());
  f.word("a", "b");
  EXPECT_EQ(lines(f), (std::vector<std::string>{"a=b"}));
  EXPECT_EQ(copy.size(), 1000U);
  EXPECT_EQ(copy[999].name, "event[999]");
}

}  // namespace
}  // namespace teeio::decode
