#include "decode/print.h"

#include <gtest/gtest.h>

namespace teeio::decode {
namespace {

Message message() {
  Fields f(/*show_keys=*/false);
  f.number("slot", 3);
  f.bytes("nonce", Bytes(32, std::byte{0x11}));
  return {.packet = 12,
          .time_ns = 3'000'004'000,
          .sender = Sender::kRequester,
          .session = 0xfffeffff,
          .depth = 1,
          .layer = "SPDM",
          .name = "CHALLENGE",
          .fields = f.take(),
          .problem = {}};
}

TEST(Print, OneLineCutsLongBytes) {
  EXPECT_EQ(
      to_text(message(), 1'000'000'000, Detail::kLine),
      "   12    2.000004 ->   [fffeffff] SPDM CHALLENGE slot=3 nonce=1111111111111111…(32)\n");
}

TEST(Print, FieldsAreWhole) {
  const std::string text = to_text(message(), 0, Detail::kFields);
  EXPECT_NE(text.find("\n        nonce = " + std::string(64, '1') + "\n"), std::string::npos);
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

}  // namespace
}  // namespace teeio::decode
