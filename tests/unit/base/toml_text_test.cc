#include "base/toml_text.h"

#include <gtest/gtest.h>

#include <string>

namespace teeio {
namespace {

std::string parts(std::size_t count) {
  std::string key;
  for (std::size_t i = 1; i < count; ++i) key += "a.";
  return key + "a";
}

TEST(TomlText, KeysOfOrdinaryFilesPass) {
  EXPECT_EQ(line_of_too_many_parts(""), 0U);
  EXPECT_EQ(line_of_too_many_parts("[a.b]\nx = 1.5\ny = \"...\"\n"), 0U);
  EXPECT_EQ(line_of_too_many_parts(parts(1000) + " = 1\n"), 0U);
}

TEST(TomlText, TheLineOfTooManyPartsIsNamed) {
  const std::string key = parts(20'000);
  EXPECT_EQ(line_of_too_many_parts(key + " = 1"), 1U);
  EXPECT_EQ(line_of_too_many_parts("x = 1\n[" + key + "]\n"), 2U);
  EXPECT_EQ(line_of_too_many_parts("x = [\n{" + key + " = 1}]"), 2U);
  std::string many;
  for (int i = 0; i < 30; ++i) many += parts(1000) + " = 1\n";
  EXPECT_GT(line_of_too_many_parts(many), 1U) << "nested values have a key each";
}

TEST(TomlText, DotsOfStringsAndCommentsAreNoParts) {
  const std::string dots(20'000, '.');
  for (const std::string& text :
       {R"(x = ")" + dots + '"', "x = '" + dots + "'", R"(x = """)" + ('\n' + dots) + R"(""")",
        "x = '''\n" + dots + "'''", "# " + dots, R"(x = "\")" + dots + '"'})
    EXPECT_EQ(line_of_too_many_parts(text), 0U) << text.substr(0, 12);
  // Behind them counting goes on.
  for (const std::string& text :
       {R"(x = "\\")" + dots, "# \"\n" + dots, R"(x = '\')" + dots, "x = \"cut\n" + dots})
    EXPECT_NE(line_of_too_many_parts(text), 0U) << text.substr(0, 12);
}

}  // namespace
}  // namespace teeio
