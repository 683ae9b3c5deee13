#include "hw/msi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hw/capabilities.h"
#include "hw/intx.h"

namespace teeio::hw {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class MsiPort final : public DmaPort {
 public:
  Result<void> dma_read(Requester, TBit, Iova, std::span<std::byte>) override { return {}; }
  Result<void> dma_write(Requester, TBit t, Iova address, ByteView in) override {
    EXPECT_EQ(t, TBit::kShared);
    EXPECT_EQ(raw(address), 0x1'fee0'0000U);
    sent.push_back(Reader(in).le<std::uint32_t>());
    return {};
  }
  bool intx(std::uint16_t, bool asserted) override {
    levels.push_back(asserted);
    return masks && asserted;
  }
  std::vector<std::uint32_t> sent;
  std::vector<bool> levels;
  bool masks = false;
};

struct MsiTest : testing::Test {
  MsiTest() {
    msi.attach(port, 0x100);
    at = *config.find_capability(kCapabilityMsi);
    write(4, 0xfee0'0003);  // the low bits are reserved
    write(8, 1);
    write(0xc, 0x4321, 2);
  }
  void write(unsigned reg, std::uint32_t value, unsigned size = 4) {
    config.write(static_cast<std::uint16_t>(at + reg), size, value);
    msi.registers_written();
  }
  std::uint32_t read(unsigned reg, unsigned size = 4) {
    return config.read(static_cast<std::uint16_t>(at + reg), size);
  }
  void enable(unsigned granted) { write(2, 1U | granted << 4U, 2); }

  ConfigSpace config;
  MsiPort port;
  Msi msi{config, 8};
  std::uint16_t at = 0;
};

TEST_F(MsiTest, CapabilitySaysEightVectors64BitsAndMasks) {
  EXPECT_EQ(read(2, 2), 3U << 1U | 1U << 7U | 1U << 8U);
  write(0x10, ~0U);
  EXPECT_EQ(read(0x10), 0xffU);
  write(0x14, ~0U);
  EXPECT_EQ(read(0x14), 0U) << "pending bits are read-only";
}

TEST_F(MsiTest, VectorIsInTheLowBitsOfTheData) {
  enable(3);
  msi.fire(0);
  msi.fire(5);
  EXPECT_THAT(port.sent, ElementsAre(0x4320, 0x4325));
}

TEST_F(MsiTest, EventsShareTheLastVectorThatSoftwareGave) {
  enable(1);
  msi.fire(1);
  msi.fire(5);
  enable(7);  // reserved: as many as there are
  msi.fire(5);
  EXPECT_THAT(port.sent, ElementsAre(0x4321, 0x4321, 0x4325));
}

TEST_F(MsiTest, NothingIsSentWhileItIsOff) {
  msi.fire(0);
  EXPECT_THAT(port.sent, IsEmpty());
  EXPECT_EQ(read(0x14), 0U);
}

TEST_F(MsiTest, MaskedVectorWaits) {
  enable(3);
  write(0x10, 1U << 2U);
  msi.fire(2);
  msi.fire(2);
  EXPECT_THAT(port.sent, IsEmpty());
  EXPECT_EQ(read(0x14), 1U << 2U);
  msi.allow(false);
  write(0x10, 0);
  EXPECT_THAT(port.sent, IsEmpty()) << "no bus mastering";
  msi.allow(true);
  msi.registers_written();
  EXPECT_THAT(port.sent, ElementsAre(0x4322));
  EXPECT_EQ(read(0x14), 0U);
}

TEST_F(MsiTest, ResetIsAsPowerOn) {
  enable(3);
  write(0x10, 4);
  msi.fire(2);
  msi.reset();
  EXPECT_FALSE(msi.enabled());
  for (const unsigned reg : {4U, 8U, 0xcU, 0x10U, 0x14U}) EXPECT_EQ(read(reg), 0U) << reg;
}

struct IntxTest : testing::Test {
  IntxTest() { intx.attach(port, 0x100); }
  [[nodiscard]] bool status() const { return (config.read(6, 2) & 8U) != 0; }
  [[nodiscard]] bool disabled() const { return (config.read(4, 2) & kCommandIntxDisable) != 0; }

  ConfigSpace config;
  MsiPort port;
  Intx intx{config};
};

TEST_F(IntxTest, LevelIsUpWhileThereAreCauses) {
  EXPECT_EQ(config.read(kInterruptPin, 1), 1U);
  intx.raise(1);
  intx.update(true);
  intx.raise(2);
  intx.update(true);
  EXPECT_THAT(port.levels, ElementsAre(true));
  EXPECT_TRUE(status());
  intx.acknowledge(1);
  intx.update(true);
  EXPECT_TRUE(status());
  intx.acknowledge(2);
  intx.update(true);
  EXPECT_THAT(port.levels, ElementsAre(true, false));
  EXPECT_FALSE(status());
}

TEST_F(IntxTest, InterruptDisableHoldsTheLevelDownButNotTheStatus) {
  config.set(4, 2, kCommandIntxDisable);
  intx.raise(1);
  intx.update(true);
  EXPECT_THAT(port.levels, IsEmpty());
  EXPECT_TRUE(status());
  config.set(4, 2, 0);
  intx.update(true);
  EXPECT_THAT(port.levels, ElementsAre(true));
}

TEST_F(IntxTest, HandlerMayMaskItInTheSameStep) {
  port.masks = true;
  intx.raise(1);
  intx.update(true);
  EXPECT_THAT(port.levels, ElementsAre(true, false));
  EXPECT_TRUE(disabled());
  EXPECT_TRUE(status());
}

TEST_F(IntxTest, MessagesTakeItsPlace) {
  intx.raise(1);
  intx.update(true);
  intx.update(false);
  EXPECT_THAT(port.levels, ElementsAre(true, false));
  EXPECT_FALSE(status());
}

}  // namespace
}  // namespace teeio::hw
