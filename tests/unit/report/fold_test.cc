#include "report/fold.h"

#include <gtest/gtest.h>

#include <set>

#include "unit/report/run.h"

namespace teeio::report {
namespace {

using object::Lane;

std::vector<std::size_t> sizes(const std::vector<Fold>& folds) {
  std::vector<std::size_t> out;
  for (const Fold& f : folds) out.push_back(f.events.size());
  return out;
}

TEST(Fold, ContainsEveryEventOnce) {
  SmallRun run;
  run.bind();
  run.map_pages(100);
  run.refused_reset();
  std::multiset<std::uint64_t> seqs;
  for (const Fold& f : fold(run.trace.events()))
    for (const object::Event* e : f.events) seqs.insert(e->seq);
  ASSERT_EQ(seqs.size(), run.trace.events().size());
  std::uint64_t expected = 1;
  for (const std::uint64_t seq : seqs) EXPECT_EQ(seq, expected++);
}

TEST(Fold, FoldsALoopWithItsInside) {
  SmallRun run;
  run.map_pages(256);
  EXPECT_EQ(sizes(fold(run.trace.events())), (std::vector<std::size_t>{1, 256, 256}));
}

TEST(Fold, FoldsAPatternOfThree) {
  SmallRun run;
  for (int i = 0; i < 5; ++i)
    for (const std::string_view name : {"BLOCK", "TRACK", "UNMAP"})
      auto call = run.trace.call(Lane::kKvm, Lane::kFirmware, name);
  EXPECT_EQ(sizes(fold(run.trace.events())), (std::vector<std::size_t>{5, 5, 5}));
}

TEST(Fold, FoldsLoopsInsideOfLoops) {
  SmallRun run;
  run.map_pages(8);
  run.map_pages(8);
  EXPECT_EQ(sizes(fold(run.trace.events())), (std::vector<std::size_t>{2, 16, 16}));
}

TEST(Fold, KeepsCallsWithDifferentOutcomesApart) {
  SmallRun run;
  run.refused_reset();
  {
    auto ok =
        run.trace.call(Lane::kVmm, Lane::kVfio, "VFIO_DEVICE_RESET", {.function = SmallRun::kVf});
  }
  EXPECT_EQ(sizes(fold(run.trace.events())), (std::vector<std::size_t>{1, 1}));
}

TEST(Fold, KeepsCallsApartWithSomethingBetween) {
  SmallRun run;
  run.refused_reset();
  run.bind();
  run.refused_reset();
  for (const Fold& f : fold(run.trace.events())) EXPECT_EQ(f.events.size(), 1U);
}

TEST(Fold, KnowsHowDeepACallIs) {
  SmallRun run;
  run.bind();
  std::vector<unsigned> depths;
  for (const Fold& f : fold(run.trace.events())) depths.push_back(f.depth);
  EXPECT_EQ(depths, (std::vector<unsigned>{0, 1, 2, 3, 4}));
}

}  // namespace
}  // namespace teeio::report
