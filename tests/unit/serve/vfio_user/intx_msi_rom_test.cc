// What a card may have beside MSI-X, as a client sees it.

#include <gtest/gtest.h>

#include <cerrno>

#include "unit/serve/vfio_user/client.h"

namespace teeio::vfio_user {
namespace {

constexpr std::uint32_t kFds = 4, kNothing = 1, kMaskIt = 8, kUnmaskIt = 16, kFire = 32;
constexpr std::uint32_t kIntx = IrqLines::kIntx, kMsi = IrqLines::kMsi;

struct AllOfPci : testing::Test {
  void SetUp() override {
    client.agree();
    EXPECT_EQ(client.write_le<std::uint16_t>(kConfigRegion, 4, 6), 0);
  }
  /// The engine fails: its vector 1.
  void make_error() {
    for (const auto& [at, value] : {std::pair{0x08U, 2U}, {0x08U, 1U}, {0x24U, 1U}})
      EXPECT_EQ(client.write_le<std::uint32_t>(0, at, value), 0);
  }
  void acknowledge() { EXPECT_EQ(client.write_le<std::uint32_t>(0, 0x38, ~0U), 0); }
  IrqLines::Info info(std::uint32_t index) { return client.function().irqs().info(index); }
  std::uint16_t msi() {
    auto at = client.read_le<std::uint8_t>(kConfigRegion, 0x34);
    while (at != 0 && client.read_le<std::uint8_t>(kConfigRegion, at) != 5)
      at = client.read_le<std::uint8_t>(kConfigRegion, at + 1U);
    return at;
  }

  static device::DmaEngineCard::Options all_of_it() {
    device::DmaEngineCard::Options options{};
    options.msi_vectors = 4;
    options.intx = true;
    options.rom = Hpa{0xe000'0000};
    options.rom_bytes = std::uint64_t{64} * 1024;
    return options;
  }
  Client client{0, all_of_it()};
  Fd event = make_event(), other = make_event();
};

TEST_F(AllOfPci, IrqInfo) {
  EXPECT_EQ(info(kIntx).count, 1U);
  EXPECT_EQ(info(kIntx).flags, 7U);
  EXPECT_EQ(info(kMsi).count, 4U);
  EXPECT_EQ(info(kMsi).flags, 9U);
}

TEST_F(AllOfPci, IntxMasksItselfUntilItIsUnmasked) {
  EXPECT_EQ(client.set_irqs(kNothing | kUnmaskIt, kIntx, 0, 1), EINVAL);
  ASSERT_EQ(client.set_irqs(kFds | kFire, kIntx, 0, 1, list_of(copy_of(event))), 0);
  make_error();
  make_error();
  EXPECT_EQ(count_of(event), 1U);
  EXPECT_EQ(client.set_irqs(kNothing | kUnmaskIt, kIntx, 0, 1), 0);
  EXPECT_EQ(count_of(event), 1U) << "the level is up";
  acknowledge();
  EXPECT_EQ(client.set_irqs(kNothing | kUnmaskIt, kIntx, 0, 1), 0);
  EXPECT_EQ(count_of(event), 0U);
  EXPECT_EQ(client.set_irqs(kNothing | kMaskIt, kIntx, 0, 1), 0);
  make_error();
  EXPECT_EQ(count_of(event), 0U);
  EXPECT_EQ(client.set_irqs(kFds | kUnmaskIt, kIntx, 0, 1, list_of(copy_of(other))), ENOTTY);
  EXPECT_EQ(client.set_irqs(kNothing | kFire, kIntx, 0, 0), 0);
  EXPECT_EQ(client.set_irqs(kNothing | kFire, kIntx, 0, 0), EINVAL);
}

TEST_F(AllOfPci, InterruptDisableIsTheClients) {
  ASSERT_EQ(client.set_irqs(kFds | kFire, kIntx, 0, 1, list_of(copy_of(event))), 0);
  EXPECT_EQ(client.write_le<std::uint16_t>(kConfigRegion, 4, 0x406), 0);
  make_error();
  EXPECT_EQ(count_of(event), 0U);
  EXPECT_NE(client.read_le<std::uint16_t>(kConfigRegion, 6) & 8, 0);
  EXPECT_EQ(client.write_le<std::uint16_t>(kConfigRegion, 4, 6), 0);
  EXPECT_EQ(count_of(event), 1U);
}

TEST_F(AllOfPci, MsiReachesItsEventfdAndKeepsTheClientsRegisters) {
  const std::uint64_t at = msi();
  EXPECT_EQ(client.write_le<std::uint32_t>(kConfigRegion, at + 4, 0xfeed'0000), 0);
  EXPECT_EQ(client.write_le<std::uint16_t>(kConfigRegion, at + 2, 0x21), 0);
  ASSERT_EQ(client.set_irqs(kFds | kFire, kMsi, 0, 2, list_of(copy_of(event), copy_of(other))), 0);
  make_error();
  EXPECT_EQ(count_of(event), 0U);
  EXPECT_EQ(count_of(other), 1U);
  EXPECT_EQ(client.read_le<std::uint32_t>(kConfigRegion, at + 4), 0xfeed'0000U);
  EXPECT_EQ(client.read_le<std::uint16_t>(kConfigRegion, at + 2) & 0x71U, 0x21U);
  EXPECT_EQ(client.set_irqs(kFds | kFire, kMsi, 2, 1, list_of(copy_of(event))), EINVAL);
  EXPECT_EQ(client.set_irqs(kFds | kFire, kIntx, 0, 1, list_of(copy_of(event))), EINVAL);
  client.function().reset();
  EXPECT_EQ(client.write_le<std::uint16_t>(kConfigRegion, 4, 6), 0);
  make_error();
  EXPECT_EQ(count_of(other), 1U) << "connected over a reset";
  EXPECT_EQ(client.set_irqs(kNothing | kFire, kMsi, 0, 0), 0);
  make_error();
  EXPECT_EQ(count_of(other), 0U);
}

TEST_F(AllOfPci, RomIsARegionThatIsReadAlone) {
  EXPECT_EQ(client.function().regions().size(kRomRegion), 64U * 1024);
  EXPECT_EQ(client.write_le<std::uint16_t>(kConfigRegion, 4, 0), 0);
  EXPECT_EQ(client.read_le<std::uint16_t>(kRomRegion, 0), 0xaa55);
  EXPECT_EQ(client.read_le<std::uint16_t>(kRomRegion, 1024), 0xffff);
  EXPECT_EQ(client.write_le<std::uint16_t>(kRomRegion, 0, 0), EINVAL);
  EXPECT_EQ(client.read_le<std::uint32_t>(kConfigRegion, 0x30) & 1U, 0U);
  EXPECT_EQ(client.read_le<std::uint16_t>(kConfigRegion, 4), 0);
}

}  // namespace
}  // namespace teeio::vfio_user
