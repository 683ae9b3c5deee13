#include "host/iommufd/area_tree.h"

#include <gtest/gtest.h>

#include <random>

namespace teeio::iommufd {
namespace {

std::unique_ptr<Area> area(std::uint64_t first, std::uint64_t last) {
  return std::make_unique<Area>(
      Area{.first = first, .last = last, .start_byte = 0, .prot = vtd::Prot::kRead, .pages = {}});
}

TEST(AreaTree, FindsByAnyIovaOfAnAreaAndTheNextAbove) {
  AreaTree tree;
  EXPECT_EQ(tree.first_in(0, ~std::uint64_t{0}), nullptr);
  tree.insert(area(100, 199));
  tree.insert(area(300, 399));
  EXPECT_EQ(tree.first_in(150, 150)->first, 100U);
  EXPECT_EQ(tree.first_in(0, 100)->first, 100U);
  EXPECT_EQ(tree.first_in(199, 300)->first, 100U);
  EXPECT_EQ(tree.first_in(200, 299), nullptr);
  EXPECT_EQ(tree.first_in(200, 300)->first, 300U);
  EXPECT_EQ(tree.first_in(400, ~std::uint64_t{0}), nullptr);
  EXPECT_EQ(tree.next(*tree.first_in(100, 100))->first, 300U);
  EXPECT_EQ(tree.next(*tree.first_in(300, 300)), nullptr);
}

// Against std::map, over enough areas that arrays split, drain and vanish.
TEST(AreaTree, AgreesWithAPlainMapUnderRandomInsertsAndTakes) {
  std::mt19937_64 random(7);
  AreaTree tree;
  std::map<std::uint64_t, Area*> plain;
  for (int step = 0; step < 40'000; ++step) {
    const std::uint64_t page = random() % 3000 * 16;
    const auto known = plain.find(page);
    // The first half grows, the second half shrinks.
    const bool grow = step < 20'000 ? random() % 4 != 0 : random() % 4 == 0;
    if (known == plain.end() && grow) {
      auto fresh = area(page, page + random() % 16);
      plain.emplace(page, fresh.get());
      tree.insert(std::move(fresh));
    } else if (known != plain.end() && !grow) {
      ASSERT_EQ(tree.take(*known->second)->first, page);
      plain.erase(known);
    }
    const std::uint64_t probe = random() % 48'100;
    const std::uint64_t last = probe + random() % 64;
    auto expected = plain.upper_bound(probe);
    if (expected != plain.begin() && std::prev(expected)->second->last >= probe) --expected;
    Area* const found = tree.first_in(probe, last);
    if (expected == plain.end() || expected->first > last)
      ASSERT_EQ(found, nullptr);
    else
      ASSERT_EQ(found, expected->second);
  }
  std::size_t walked = 0;
  for (Area* at = tree.first_in(0, 50'000); at != nullptr; at = tree.next(*at)) ++walked;
  EXPECT_EQ(walked, plain.size());
}

TEST(AreaTree, AscendingAreasFillTheirArrays) {
  AreaTree tree;
  for (std::uint64_t i = 0; i < 1000; ++i) tree.insert(area(i, i));
  for (std::uint64_t i = 0; i < 1000; ++i) EXPECT_EQ(tree.first_in(i, i)->first, i);
  while (Area* first = tree.first_in(0, 1000)) tree.take(*first);
  EXPECT_TRUE(tree.empty());
}

}  // namespace
}  // namespace teeio::iommufd
