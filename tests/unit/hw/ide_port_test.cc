#include "hw/ide_port.h"

#include <gtest/gtest.h>

#include "hw/find_capability.h"

namespace teeio::hw {
namespace {

constexpr std::uint16_t kEverything = IdeOffer::kHeaderEncryption | IdeOffer::kAggregation |
                                      IdeOffer::kPcrc | IdeOffer::kConfigRequests |
                                      IdeOffer::kTeeLimited;
constexpr std::uint32_t kEnable = 1;
constexpr std::uint32_t kSecure = 2;

/// A port of two link streams and two selective ones.
class IdePortTest : public ::testing::Test {
 protected:
  // Linux's sel_ide_offset(): two link blocks of eight bytes before them.
  static constexpr std::uint16_t kLinks = 0x0c, kSelective = kLinks + 2 * 8, kBlock = 20 + 2 * 12;

  std::uint32_t read(std::uint16_t at) {
    return config.read(static_cast<std::uint16_t>(port.offset() + at), 4);
  }
  void write(std::uint16_t at, std::uint32_t value) {
    config.write(static_cast<std::uint16_t>(port.offset() + at), 4, value);
    port.registers_written();
  }
  /// A requester range, ID and control bits; and the enable bit.
  void set_up(std::uint8_t id, std::uint32_t bits) {
    write(kSelective + 0x0c, 0x0800);
    write(kSelective + 0x10, 0x0801);
    write(kSelective + 0x04, std::uint32_t{id} << 24U | bits);
    write(kSelective + 0x04, std::uint32_t{id} << 24U | bits | kEnable);
  }
  void start_keys(std::size_t block) {
    for (const auto direction : {IdeKeySlot::Direction::kReceive, IdeKeySlot::Direction::kTransmit})
      for (const auto sub : {IdeKeySlot::SubStream::kPosted, IdeKeySlot::SubStream::kNonPosted,
                             IdeKeySlot::SubStream::kCompletion}) {
        const IdeKeySlot slot{.key_set = 0, .direction = direction, .sub_stream = sub};
        ASSERT_TRUE(port.program_key(block, slot, Bytes(IdePort::kKeyBytes)));
        ASSERT_TRUE(port.go(block, slot));
      }
  }
  std::uint32_t selective_status() { return read(kSelective + 0x08); }
  std::uint32_t link_status(unsigned link) {
    return read(static_cast<std::uint16_t>(kLinks + link * 8 + 4));
  }

  ConfigSpace config;
  IdePort port{config, 2, {.links = 2, .features = kEverything}};
};

TEST_F(IdePortTest, TheCapabilitySaysWhatThereIs) {
  // IDE_KM, both kinds of streams, two of each; PCI_IDE_CAP_* of what is offered.
  EXPECT_EQ(read(4), 0x0101'20fbU);
  EXPECT_EQ(port.size_bytes(), kSelective + 2 * kBlock);
  ConfigSpace bare;
  const IdePort plain(bare, 1, {.links = 0, .features = 0});
  EXPECT_EQ(bare.read(static_cast<std::uint16_t>(plain.offset() + 4), 4), 0x42U);
}

TEST_F(IdePortTest, AControlRegisterKeepsWhatIsOfferedAndNothingElse) {
  write(kSelective + 0x04, 0xffff'ffffU & ~kEnable);
  EXPECT_EQ(read(kSelective + 0x04), 0xffff'fffcU);
  write(kLinks, 0xffff'ffffU & ~kEnable);
  EXPECT_EQ(read(kLinks), 0xff3f'fdfcU);  // no configuration requests, default, TEE-limited
  for (const IdeFeature& row : kIdeFeatures) {
    ConfigSpace space;
    const auto others = static_cast<std::uint16_t>(kEverything & ~row.feature);
    const IdePort without(space, 1, {.links = 0, .features = others});
    const auto control = static_cast<std::uint16_t>(without.offset() + kLinks + 4);
    space.write(control, 4, 0xffff'ffff);
    EXPECT_EQ(space.read(control, 4), 0xffff'fffdU & ~row.control) << row.name;
  }
}

TEST_F(IdePortTest, AStreamOfEachConfigurationIsSecureByItsKeys) {
  for (const IdeFeature& row : kIdeFeatures) {
    set_up(3, row.on);
    EXPECT_EQ(selective_status(), 0U) << row.name;
    start_keys(0);
    EXPECT_EQ(selective_status(), kSecure) << row.name;
    write(kSelective + 0x04, 0);
    EXPECT_EQ(selective_status(), 0U) << row.name;
  }
}

TEST_F(IdePortTest, WhatNoPortDoesIsNotSecure) {
  constexpr std::uint32_t kReservedMode = 5U << 10U, kOtherAlgorithm = 1U << 14U;
  for (const std::uint32_t bits : {kReservedMode, kOtherAlgorithm}) {
    set_up(3, bits);
    start_keys(0);
    EXPECT_EQ(selective_status(), 0U) << bits;
    port.forget_keys(0);
  }
}

TEST_F(IdePortTest, AStreamWhoseProtectionChangesIsSecureNoMore) {
  constexpr std::uint32_t kPcrc = 1U << 8U;
  set_up(3, 0);
  start_keys(0);
  write(kSelective + 0x04, 3U << 24U | kEnable | 1U << 22U);  // default stream: not of it
  EXPECT_EQ(selective_status(), kSecure);
  write(kSelective + 0x04, 3U << 24U | kEnable | kPcrc);
  EXPECT_EQ(selective_status(), 0U);
  EXPECT_EQ(port.state(0), IdeStreamState::kConfigured);
  start_keys(0);
  EXPECT_EQ(selective_status(), kSecure);
}

TEST_F(IdePortTest, ALinkStreamHasItsNameAloneAndKeysOfItsOwn) {
  EXPECT_FALSE(port.find(0));
  write(kLinks + 8, 9U << 24U | kEnable);
  ASSERT_EQ(port.find(9), std::optional<std::size_t>(3));
  EXPECT_TRUE(port.is_link(3));
  start_keys(3);
  EXPECT_EQ(link_status(1), kSecure);
  EXPECT_EQ(link_status(0), 0U);
  EXPECT_EQ(selective_status(), 0U);
  // It is nobody's: no requester and no address is its own.
  EXPECT_EQ(port.free_streams(), 2U);
  EXPECT_FALSE(port.find_requester(8));
  EXPECT_FALSE(port.has_address(0));
  ASSERT_TRUE(port.release(3));
  EXPECT_EQ(link_status(1), 0U);
  EXPECT_EQ(read(kLinks + 8), 0U);
}

TEST_F(IdePortTest, KeysGoToTheSelectiveStreamOfTwoWithAnId) {
  write(kLinks, 3U << 24U | kEnable);
  EXPECT_EQ(port.find(3), std::optional<std::size_t>(2));
  set_up(3, 0);
  EXPECT_EQ(port.find(3), std::optional<std::size_t>(0));
  IdeAssociation association;
  association.stream_id = 5;
  EXPECT_EQ(port.configure(2, association).error().code, Errno::kInval);
}

}  // namespace
}  // namespace teeio::hw
