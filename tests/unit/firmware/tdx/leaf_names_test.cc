#include "firmware/tdx/leaf_names.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <set>
#include <string>

#include "base/files.h"

namespace teeio::tdx {
namespace {

/// "TDH.X" as a literal, in the module's sources.
std::set<std::string> leaves_of_the_sources() {
  static const std::regex kLeaf(R"re("(TDH(\.[A-Z]+)+)")re");
  std::set<std::string> names;
  for (const auto& file :
       std::filesystem::directory_iterator(TEEIO_SOURCE_DIR "/src/firmware/tdx")) {
    if (file.path().extension() != ".cc" || file.path().stem() == "leaf_names") continue;
    const std::string text = read_file(file.path().string()).value();
    for (std::sregex_iterator at(text.begin(), text.end(), kLeaf), end; at != end; ++at)
      names.insert((*at)[1]);
  }
  return names;
}

TEST(LeafNames, AreThoseThatTheModuleUses) {
  const auto names = leaf_names();
  EXPECT_TRUE(std::ranges::is_sorted(names));
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()), leaves_of_the_sources());
}

}  // namespace
}  // namespace teeio::tdx
