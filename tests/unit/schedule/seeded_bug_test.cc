#include <gtest/gtest.h>

#include <set>

#include "schedule/plant_bug.h"

namespace teeio::schedule {
namespace {

TEST(SeededBug, NoneIsPlantedUntilATestPlantsOne) {
  for (const SeededBugInfo& info : seeded_bugs()) EXPECT_FALSE(seeded(info.bug)) << info.name;
}

TEST(SeededBug, IsPlantedForAScopeAndAlone) {
  {
    const PlantedBug planted(SeededBug::kTwoVdevices);
    EXPECT_TRUE(seeded(SeededBug::kTwoVdevices));
    EXPECT_FALSE(seeded(SeededBug::kVfAsPf0));
  }
  EXPECT_FALSE(seeded(SeededBug::kTwoVdevices));
}

TEST(SeededBug, HasANameOfItsOwnThatIsReadBack) {
  std::set<std::string_view> names;
  for (const SeededBugInfo& info : seeded_bugs()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(parse_seeded_bug(info.name), info.bug);
  }
  EXPECT_GE(names.size(), 20U);
  EXPECT_FALSE(parse_seeded_bug("no-such-bug").has_value());
  EXPECT_FALSE(parse_seeded_bug("").has_value());
}

}  // namespace
}  // namespace teeio::schedule
