#include "decode/print.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "decode/last_of_each.h"

namespace teeio::decode {
namespace {

const Bytes kNonce(32, std::byte{0x11});

Message message() {
  Fields f;
  f.number("slot", 3);
  f.bytes("nonce", kNonce);
  return {.packet = 12,
          .time_ns = 3'000'004'000,
          .sender = Sender::kRequester,
          .session = 0xfffeffff,
          .depth = 1,
          .layer = "SPDM",
          .name = "CHALLENGE",
          .fields = f,
          .problem = {}};
}

std::string to_text(const Message& message, std::uint64_t start_ns, Detail detail) {
  Text out;
  append_text(out, message, start_ns, detail);
  return std::string(out.view());
}

std::string to_json(const Message& message) {
  Text out;
  append_json(out, message);
  return std::string(out.view());
}

TEST(Print, OneLineCutsLongBytes) {
  EXPECT_EQ(
      to_text(message(), 1'000'000'000, Detail::kLine),
      "   12    2.000004 ->   [fffeffff] SPDM CHALLENGE slot=3 nonce=1111111111111111…(32)\n");
}

TEST(Print, AnEarlierPacketThanTheFirstHasANegativeTime) {
  EXPECT_TRUE(
      to_text(message(), 15'000'000'000, Detail::kLine).starts_with("   12  -11.999996 ->"));
}

TEST(Print, FieldsAreWhole) {
  const std::string text = to_text(message(), 0, Detail::kFields);
  EXPECT_NE(text.find("\n        nonce = " + std::string(64, '1') + "\n"), std::string::npos);
}

/// Looks at names that are counted.
struct Counted {
  bool operator()(std::string_view a, std::string_view b) const {
    ++*looks;
    return a == b;
  }
  std::size_t* looks;
};

TEST(Print, JsonOfManyFieldsLooksAtEachAFewTimes) {
  constexpr std::size_t kMany = 20'000;
  Message many = message();
  Fields f;
  for (std::size_t i = 0; i < kMany; ++i) f.number({"event", i}, i);
  f.number("event[3]", 77);
  many.fields = f;
  std::size_t looks = 0;
  const auto last = last_of_each(many.fields, Counted{&looks});
  EXPECT_LE(looks, 2 * kMany);
  EXPECT_EQ(last[2], 2U);
  EXPECT_EQ(last[3], kMany);
  EXPECT_EQ(last[kMany], kNotTheFirst);
  // As where there are few: one of each name, in the first one's place, with the last value.
  const std::string json = to_json(many);
  EXPECT_NE(json.find(R"({"event[0]":0,"event[1]":1,"event[2]":2,"event[3]":77,"event[4]":4,)"),
            std::string::npos);
  EXPECT_NE(json.find(R"("event[19999]":19999}})"), std::string::npos);
}

TEST(Print, AProblemEndsTheLine) {
  Message bad = message();
  bad.fields.clear();
  bad.problem = "too short";
  EXPECT_TRUE(to_text(bad, 0, Detail::kLine).ends_with("SPDM CHALLENGE  !! too short\n"));
}

TEST(Print, JsonKeepsNumbersAndWholeBytes) {
  const std::string json = to_json(message());
  EXPECT_NE(json.find(R"("session":"0xfffeffff","depth":1,"layer":"SPDM","message":"CHALLENGE")"),
            std::string::npos)
      << json;
  EXPECT_NE(json.find(R"("fields":{"slot":3,"nonce":")" + std::string(64, '1') + "\"}"),
            std::string::npos)
      << json;
}

TEST(Print, JsonEscapesAndReplaces) {
  Fields f;
  f.word("a", "\"\\\n\x01\x7f…\xff");
  f.hex_number("b", 0x1f);
  f.version("c", 0x13);
  const Message odd{
      .time_ns = ~std::uint64_t{0}, .layer = "L", .name = "N", .fields = f, .problem = {}};
  EXPECT_EQ(to_json(odd),
            "{\"packet\":0,\"time_ns\":18446744073709551615,\"from\":\"requester\",\"layer\":\"L\","
            "\"message\":\"N\",\"fields\":{\"a\":\"\\\"\\\\\\n\\u0001\x7f…\xef\xbf\xbd\",\"b\":31,"
            "\"c\":\"1.3\"}}\n");
}

TEST(Print, OfFieldsWithOneNameJsonHasTheLast) {
  Fields f;
  f.number("code", 1);
  f.number("other", 2);
  f.number("code", 3);
  const Message twice{.layer = "L", .name = "N", .fields = f, .problem = "why"};
  EXPECT_TRUE(
      to_json(twice).ends_with("\"fields\":{\"code\":3,\"other\":2},\"problem\":\"why\"}\n"));
}

TEST(Print, AConnectionHasItsNumber) {
  Message one = message();
  one.connection = 5;
  EXPECT_NE(to_text(one, 0, Detail::kLine).find(" ->   #5 [fffeffff] SPDM"), std::string::npos);
  EXPECT_NE(to_json(one).find("\"connection\":5,\"session\":"), std::string::npos);
}

TEST(Print, LinesGoBehindEachOther) {
  Text out;
  out.add("before\n");
  append_text(out, message(), 0, Detail::kLine);
  append_json(out, message());
  EXPECT_TRUE(out.view().starts_with("before\n   12 ")) << out.view();
  EXPECT_EQ(std::ranges::count(out.view(), '\n'), 3);
}

}  // namespace
}  // namespace teeio::decode
