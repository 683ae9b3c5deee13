#include "hw/capabilities.h"

#include <gtest/gtest.h>

#include "hw/find_capability.h"

namespace teeio::hw {
namespace {

std::uint16_t plus(std::uint16_t base, unsigned offset) {
  return static_cast<std::uint16_t>(base + offset);
}

class Header : public testing::Test {
 protected:
  Header() {
    bars[0] = {.kind = Bar::Kind::kMemory32, .size = 0x10000, .base = Hpa{0xe000'0000}};
    bars[2] = {.kind = Bar::Kind::kMemory64,
               .prefetchable = true,
               .size = 0x10'0000,
               .base = Hpa{0x38'0010'0000}};
    add_endpoint_header(config,
                        {.vendor = 0x1234,
                         .device = 0x11e8,
                         .class_code = 0x088000,
                         .revision = 2,
                         .subsystem_vendor = 0x1af4,
                         .subsystem = 1,
                         .multi_function = true},
                        bars);
  }
  std::array<Bar, kBarCount> bars{};
  ConfigSpace config;
};

TEST_F(Header, IdentityIsReadOnly) {
  for (std::uint16_t at = 0; at < 0x04; ++at) config.write(at, 1, 0xff);
  config.write(0x08, 4, 0);
  EXPECT_EQ(config.read(0x00, 4), 0x11e81234U);
  EXPECT_EQ(config.read(0x08, 4), 0x08800002U);
  EXPECT_EQ(config.read(0x0e, 1), 0x80U);
  EXPECT_EQ(config.read(0x2c, 4), 0x00011af4U);
}

TEST_F(Header, BarsAreSizedByWritingOnes) {
  EXPECT_EQ(config.read(0x10, 4), 0xe0000000U);
  config.write(0x10, 4, 0xffffffff);
  EXPECT_EQ(config.read(0x10, 4), 0xffff0000U);
  EXPECT_EQ(config.read(0x18, 4), 0x0010000cU);
  EXPECT_EQ(config.read(0x1c, 4), 0x38U);
  config.write(0x18, 4, 0xffffffff);
  config.write(0x1c, 4, 0xffffffff);
  EXPECT_EQ(config.read(0x18, 4), 0xfff0000cU);
  EXPECT_EQ(config.read(0x1c, 4), 0xffffffffU);
  config.write(0x14, 4, 0xffffffff);
  EXPECT_EQ(config.read(0x14, 4), 0U);
}

TEST_F(Header, CommandKeepsOnlyWhatTheFunctionHas) {
  config.write(kCommand, 2, 0xffff);
  EXPECT_EQ(config.read(kCommand, 2), 0x0546U);
}

TEST(Capabilities, ExpressAnnouncesFlrAndTeeOnlyWhenAsked) {
  ConfigSpace plain, full;
  const auto at = add_pci_express(plain, {});
  (void)add_pci_express(full, {.function_level_reset = true, .tee_io = true});
  const std::uint32_t without = plain.read(plus(at, kExpressDeviceCapabilities), 4);
  const std::uint32_t with = full.read(plus(at, kExpressDeviceCapabilities), 4);
  EXPECT_EQ(without ^ with, kDeviceCapabilityFlr | kDeviceCapabilityTeeIo);
  EXPECT_EQ(without & kDeviceCapabilityFlr, 0U);
  EXPECT_EQ(plain.read(plus(at, 2), 2), 2U);
}

TEST(Capabilities, FlrIsSeenInWritesOfAnySizeAndNeverKept) {
  ConfigSpace config;
  const auto express = add_pci_express(config, {.function_level_reset = true});
  const auto control = plus(express, kExpressDeviceControl);
  EXPECT_TRUE(flr_requested(express, control, 2, 0xa810));
  EXPECT_TRUE(flr_requested(express, control, 4, 0x8000));
  EXPECT_TRUE(flr_requested(express, plus(control, 1), 1, 0x80));
  EXPECT_FALSE(flr_requested(express, control, 2, 0x7fff));
  EXPECT_FALSE(flr_requested(express, control, 1, 0xff));
  EXPECT_FALSE(flr_requested(express, plus(control, 2), 2, 0xffff));
  EXPECT_FALSE(flr_requested(express, plus(control, 4), 4, 0xffffffff));
  config.write(control, 2, 0xa810);
  EXPECT_EQ(config.read(control, 2), 0x2810U);
}

TEST(Capabilities, PowerStateIsWritable) {
  ConfigSpace config;
  const auto pm = add_power_management(config);
  EXPECT_EQ(config.find_capability(kCapabilityPowerManagement), pm);
  config.write(plus(pm, kPowerControl), 2, 0xffff);
  EXPECT_EQ(config.read(plus(pm, kPowerControl), 2), 0x000bU);
}

}  // namespace
}  // namespace teeio::hw
