#include <gtest/gtest.h>

#include <utility>

#include "schedule/plant_bug.h"

namespace teeio::schedule {
namespace {

TEST(SeededBug, NoneIsPlantedUntilATestPlantsOne) {
  for (auto bug = SeededBug::kVdeviceOutlivesIdevice; bug <= SeededBug::kDrainForgotten;
       bug = static_cast<SeededBug>(std::to_underlying(bug) + 1))
    EXPECT_FALSE(seeded(bug)) << std::to_underlying(bug);
}

TEST(SeededBug, IsPlantedForAScopeAndAlone) {
  {
    const PlantedBug planted(SeededBug::kTwoVdevices);
    EXPECT_TRUE(seeded(SeededBug::kTwoVdevices));
    EXPECT_FALSE(seeded(SeededBug::kVfAsPf0));
  }
  EXPECT_FALSE(seeded(SeededBug::kTwoVdevices));
}

}  // namespace
}  // namespace teeio::schedule
