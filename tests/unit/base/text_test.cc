#include "base/text.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace teeio {
namespace {

TEST(Counted, IsOfOneThingOrOfSeveral) {
  EXPECT_EQ(counted(1, "schedule"), "1 schedule");
  EXPECT_EQ(counted(0, "schedule"), "0 schedules");
  EXPECT_EQ(counted(2, "preemption"), "2 preemptions");
}

TEST(Visible, LeavesTextAsItIs) {
  for (const std::string text : {"", "a b\n", "tab\t", "Prüfung …", "\xff"})
    EXPECT_EQ(visible(text), text);
}
TEST(Visible, ShowsControlCharactersInsteadOfObeyingThem) {
  EXPECT_EQ(visible("\x1b]0;owned\x07"), "\\x1b]0;owned\\x07");
  EXPECT_EQ(visible("a\rb\x7f\x08"), "a\\x0db\\x7f\\x08");
  EXPECT_EQ(visible("\x1b[2J\x1b[H"), "\\x1b[2J\\x1b[H");
  EXPECT_EQ(visible(std::string_view("\0", 1)), "\\x00");
}
TEST(Visible, ShowsC1InUtf8) {
  EXPECT_EQ(visible("\xc2\x9b"
                    "2J\xc2\xa7"),
            "\\xc2\\x9b2J\xc2\xa7");
}
TEST(Visible, LeavesColoursAndAnErasedLine) {
  for (const std::string text : {"\x1b[1;31mFAIL\x1b[0m\n", "\r\x1b[K5/7"})
    EXPECT_EQ(visible(text), text);
}
TEST(Visible, FindsThemWhereverTheyStand) {
  for (std::size_t before = 0; before < 20; ++before)
    for (const std::string bad : {"\x01", "\x1f", "\x7f", "\xc2\x85"}) {
      const std::string text = std::string(before, 'a') + bad + "\xc3\x85 and the rest\n";
      EXPECT_EQ(visible(text).find(bad), std::string::npos) << before;
      EXPECT_EQ(visible(text).substr(0, before + 2), std::string(before, 'a') + "\\x") << before;
      EXPECT_TRUE(visible(text).ends_with("\xc3\x85 and the rest\n")) << before;
    }
}
TEST(Visible, FindsOneInALongText) {
  const std::string lines = std::string(70, 'a') + "\n" + std::string(70, 'b') + "\tc …\n";
  std::string text;
  for (int i = 0; i < 8; ++i) text += lines;
  EXPECT_EQ(visible(text), text);
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{255}, std::size_t{256}, std::size_t{600}, text.size() - 1}) {
    std::string bad = text;
    bad[at] = '\x07';
    EXPECT_EQ(visible(bad), text.substr(0, at) + "\\x07" + text.substr(at + 1)) << at;
  }
}
TEST(Visible, TakesACutSequenceForNone) { EXPECT_EQ(visible("\x1b[31"), "\\x1b[31"); }

TEST(ShellWord, QuotesOnlyWhatNeedsIt) {
  EXPECT_EQ(shell_word("--bind=vfio"), "--bind=vfio");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word("$x\\"), "'$x\\'");
}
TEST(ShellWord, SpellsControlCharacters) { EXPECT_EQ(shell_word("\x1b'\\"), "$'\\x1b\\'\\\\'"); }

TEST(ValidUtf8, ReplacesWhatIsBroken) {
  const std::string good = "a§…\xf0\x9f\x94\x92";
  EXPECT_EQ(valid_utf8(good), good);
  for (const std::string bad : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x80"})
    EXPECT_TRUE(valid_utf8(bad).starts_with("\xef\xbf\xbd"))
        << to_hex(std::as_bytes(std::span(bad)));
}
TEST(XmlText, CarriesNothingThatXmlCannot) {
  EXPECT_EQ(xml_text("<a & \"b\">\x01\n"), "&lt;a &amp; &quot;b&quot;&gt;?\n");
}
TEST(YamlText, IsOneLine) { EXPECT_EQ(yaml_text("it's\ntwo"), "'it''s two'"); }

TEST(Hex, ReadsWhatItWrites) {
  const Bytes bytes{std::byte{0}, std::byte{0xa7}, std::byte{0xff}};
  EXPECT_EQ(to_hex(bytes), "00a7ff");
  EXPECT_EQ(from_hex("00A7ff"), bytes);
  EXPECT_EQ(from_hex(""), Bytes{});
}
TEST(Hex, IsPairsOfDigits) {
  for (const char* text : {"0", "0g", "+1", " 1", "0x"}) EXPECT_FALSE(from_hex(text)) << text;
}

}  // namespace
}  // namespace teeio
