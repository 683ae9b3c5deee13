#include <gtest/gtest.h>

#include "schedule/plant_bug.h"

namespace teeio::schedule {
namespace {

TEST(SeededBug, NoneIsPlantedUntilATestPlantsOne) {
  EXPECT_FALSE(seeded("one"));
  EXPECT_FALSE(seeded("another"));
}

TEST(SeededBug, IsPlantedForAScopeAndAlone) {
  {
    const PlantedBug planted("one");
    EXPECT_TRUE(seeded("one"));
    EXPECT_FALSE(seeded("another"));
  }
  EXPECT_FALSE(seeded("one"));
}

TEST(SeededBug, IsTheSameByItsNameAtRunTime) {
  EXPECT_EQ(SeededBug::named("one"), SeededBug("one"));
  EXPECT_NE(SeededBug::named("one"), SeededBug("another"));
  EXPECT_EQ(SeededBug::named(""), SeededBug());
}

}  // namespace
}  // namespace teeio::schedule
