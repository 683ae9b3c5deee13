#include "hw/config_space.h"

#include <gtest/gtest.h>

#include "schedule/task.h"
#include "unit/schedule/explored.h"

namespace teeio::hw {
namespace {

TEST(ConfigSpace, ReadsLittleEndianInEverySize) {
  ConfigSpace config;
  config.set(0x10, 4, 0x44332211);
  EXPECT_EQ(config.read(0x10, 1), 0x11U);
  EXPECT_EQ(config.read(0x12, 2), 0x4433U);
  EXPECT_EQ(config.read(0x10, 4), 0x44332211U);
}

TEST(ConfigSpace, SoftwareChangesOnlyWritableBits) {
  ConfigSpace config;
  config.set(0x04, 2, 0x0010);
  config.set_writable(0x04, 2, 0x0006);
  config.write(0x04, 2, 0xffff);
  EXPECT_EQ(config.read(0x04, 2), 0x0016U);
  config.write(0x04, 4, 0);
  EXPECT_EQ(config.read(0x04, 2), 0x0010U);
}

TEST(ConfigSpace, WritingOneClearsAndWritingZeroKeeps) {
  ConfigSpace config;
  config.set(0x06, 2, 0xf910);
  config.set_write_one_clears(0x06, 2, 0xf900);
  config.write(0x06, 2, 0x8000);
  EXPECT_EQ(config.read(0x06, 2), 0x7910U);
  config.write(0x06, 2, 0x00ff);
  EXPECT_EQ(config.read(0x06, 2), 0x7910U);
}

TEST(ConfigSpace, CapabilitiesAreLinkedInOrder) {
  ConfigSpace config;
  EXPECT_FALSE(config.find_capability(0x10));
  const auto pm = config.add_capability(0x01, 8);
  const auto express = config.add_capability(0x10, 0x3c);
  EXPECT_EQ(pm, 0x40U);
  EXPECT_NE(config.read(0x06, 2) & 0x10U, 0U);
  EXPECT_EQ(config.read(0x34, 1), pm);
  EXPECT_EQ(config.read(static_cast<std::uint16_t>(pm + 1), 1), express);
  EXPECT_EQ(config.read(static_cast<std::uint16_t>(express + 1), 1), 0U);
  EXPECT_EQ(config.find_capability(0x10), express);
  EXPECT_FALSE(config.find_capability(0x11));
}

TEST(ConfigSpace, ExtendedCapabilitiesStartAt0x100AndAreLinked) {
  ConfigSpace config;
  EXPECT_FALSE(config.find_extended_capability(0x2e));
  EXPECT_EQ(config.add_extended_capability(0x30, 1, 0x2d), 0x100U);
  const auto doe = config.add_extended_capability(0x2e, 2, 0x18);
  EXPECT_EQ(doe % 4, 0);
  EXPECT_GE(doe, 0x12dU);
  EXPECT_EQ(config.find_extended_capability(0x2e), doe);
  EXPECT_EQ(config.find_extended_capability(0x30), 0x100U);
  EXPECT_EQ(config.read(doe, 4), 0x0002002eU);
  EXPECT_EQ(config.read(0x100, 4), 0x00010030U | std::uint32_t{doe} << 20U);
}

/// In how many orders one task can look at `looked` and another set `set`.
std::uint64_t orders(std::uint16_t looked, std::uint16_t set) {
  const auto result = test::expect_sound([=] {
    ConfigSpace config(ConfigSpace::Looks::kWithoutLock);
    auto looks = schedule::Task::spawn("looks", [&] { (void)config.look(looked, 2); });
    auto sets = schedule::Task::spawn("sets", [&] { config.set(set, 1, 0x11); });
    looks.join();
    sets.join();
  });
  return result.schedules - result.pruned;
}

TEST(ConfigSpace, ALookMeetsWhoChangesItsWordAndNobodyElse) {
  EXPECT_EQ(orders(0x10, 0x13), 2U);
  EXPECT_EQ(orders(0x10, 0x14), 1U);
}

TEST(ConfigSpace, WhatDoesNotChangeMeetsNobody) {
  const auto result = test::expect_sound([] {
    ConfigSpace config(ConfigSpace::Looks::kWithoutLock);
    auto looks = schedule::Task::spawn("looks", [&] { (void)config.look(0x10, 4); });
    config.set(0x10, 4, 0);
    looks.join();
  });
  EXPECT_EQ(result.schedules, 1U);
}

}  // namespace
}  // namespace teeio::hw
