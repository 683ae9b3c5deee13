#include "host/iommufd/area_tree.h"

#include <gtest/gtest.h>

#include <random>

namespace teeio::iommufd {
namespace {

AreaPtr area(std::uint64_t first, std::uint64_t last) {
  return AreaPtr(new Area{.first = first, .last = last, .prot = iommu::Prot::kRead});
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

// Against std::map, over enough areas that arrays split, drain and vanish, and
// with lengths that reach across where an array used to begin.
TEST(AreaTree, AgreesWithAPlainMapUnderRandomInsertsAndTakes) {
  std::mt19937_64 random(7);
  AreaTree tree;
  std::map<std::uint64_t, Area*> plain;
  const auto lowest_in = [&plain](std::uint64_t first, std::uint64_t last) -> Area* {
    auto at = plain.upper_bound(first);
    if (at != plain.begin() && std::prev(at)->second->last >= first) return std::prev(at)->second;
    return at != plain.end() && at->first <= last ? at->second : nullptr;
  };
  for (int step = 0; step < 60'000; ++step) {
    const std::uint64_t first = random() % 40'000;
    const std::uint64_t last = first + random() % (random() % 16 == 0 ? 400 : 12);
    Area* const expected = lowest_in(first, last);
    ASSERT_EQ(tree.first_in(first, last), expected);
    if (random() % 2 == 0) {
      ASSERT_EQ(tree.seek(first, last), expected);
    }
    // Grows, shrinks, and grows again.
    const bool grow = (step / 20'000 == 1) == (random() % 4 == 0);
    if (expected == nullptr && grow) {
      auto fresh = area(first, last);
      plain.emplace(first, fresh.get());
      tree.insert(std::move(fresh));
    } else if (expected != nullptr && !grow) {
      plain.erase(expected->first);
      ASSERT_EQ(tree.take(*expected).get(), expected);
    }
  }
  std::size_t walked = 0;
  for (Area* at = tree.first_in(0, 50'000); at != nullptr; at = tree.next(*at)) ++walked;
  EXPECT_EQ(walked, plain.size());
  EXPECT_GT(walked, 100U);
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
