#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "schedule/rank.h"

namespace teeio::schedule {
namespace {

/// The first cells of the table's rows, without their backquotes.
std::vector<std::string> documented_locks() {
  const auto path = std::filesystem::path(TEEIO_SOURCE_DIR) / "docs/locks.md";
  std::ifstream file(path);
  std::vector<std::string> names;
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("| `")) names.push_back(line.substr(3, line.find('`', 3) - 3));
  return names;
}

std::vector<std::string> ranks_in_order() {
  std::vector<std::string> names;
  for (auto i = std::to_underlying(Rank::kUnranked) + 1; i <= std::to_underlying(Rank::kLeaf); ++i)
    names.emplace_back(rank_name(static_cast<Rank>(i)));
  return names;
}

TEST(LocksDoc, NamesEveryRankInTheOrderOfTheCode) {
  EXPECT_EQ(documented_locks(), ranks_in_order());
}

TEST(Rank, EveryRankHasItsOwnName) {
  std::vector<std::string> names = ranks_in_order();
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  EXPECT_FALSE(std::binary_search(names.begin(), names.end(), "?"));
}

}  // namespace
}  // namespace teeio::schedule
