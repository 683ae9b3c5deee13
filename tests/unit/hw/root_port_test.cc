#include "hw/root_port.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hw/find_capability.h"

namespace teeio::hw {
namespace {

using object::Fact;

RootPort::Options options(std::size_t streams) {
  RootPort::Options made;
  made.bdf = {.device = 1};
  made.header.secondary = made.header.subordinate = 1;
  made.header.memory = {.base = 0xe000'0000, .last = 0xe0ff'ffff};
  made.header.prefetchable = {.base = 0x38'0000'0000, .last = 0x38'3fff'ffff};
  made.ide_streams = streams;
  made.tee_io = true;
  return made;
}

std::vector<IdeKeySlot> keys_of(std::uint8_t set) {
  using enum IdeKeySlot::Direction;
  using enum IdeKeySlot::SubStream;
  std::vector<IdeKeySlot> slots;
  for (const auto direction : {kReceive, kTransmit})
    for (const auto sub_stream : {kPosted, kNonPosted, kCompletion})
      slots.push_back({.key_set = set, .direction = direction, .sub_stream = sub_stream});
  return slots;
}

Bytes key(int n) { return Bytes(32, static_cast<std::byte>(n)); }

constexpr std::uint16_t kRidFirst = 0x100;
constexpr std::uint16_t kRidLast = 0x102;

class RootPortIde : public testing::Test {
 protected:
  RootPortIde() { trace.keep_events(true); }
  Result<void> configure(std::size_t block = 0, std::uint8_t id = 7) {
    return port.configure_stream(block,
                                 {.stream_id = id,
                                  .rid_first = kRidFirst,
                                  .rid_last = kRidLast,
                                  .memory = {{.base = 0x38'0000'0000, .last = 0x38'3fff'ffff}}});
  }
  void program(std::uint8_t set = 0, std::size_t block = 0) {
    for (const auto slot : keys_of(set))
      ASSERT_TRUE(port.program_key(block, slot, key(++last_key)).has_value());
  }
  void go(std::uint8_t set = 0, std::size_t block = 0) {
    for (const auto slot : keys_of(set)) ASSERT_TRUE(port.key_go(block, slot).has_value());
  }
  std::uint32_t reg(std::uint16_t offset) { return port.config_read(at(offset), 4); }
  std::uint16_t at(std::uint16_t offset) {
    return static_cast<std::uint16_t>(*find_extended_capability(port, kExtendedIde) + offset);
  }

  object::Trace trace;
  RootPort port{trace, options(2)};
  int last_key = 0;
};

// Offsets as Linux drivers/pci/ide.c finds them: no link streams, so the first
// selective block is at 0x0c; each has 20 bytes and 12 an address association.
constexpr std::uint16_t kCapability = 0x04, kBlock0 = 0x0c, kBlock1 = kBlock0 + 20 + 2 * 12;
constexpr std::uint16_t kControl = 4, kStatus = 8, kRid1 = 12, kRid2 = 16, kAddress1 = 20;

TEST_F(RootPortIde, CapabilityAnnouncesSelectiveStreams) {
  EXPECT_EQ(reg(kCapability) & 0x3U, 0x2U);
  EXPECT_EQ(reg(kCapability) >> 16U & 0xffU, 1U);  // two, less one
  EXPECT_EQ(reg(kBlock0) & 0xfU, 2U);
  EXPECT_EQ(reg(kBlock1) & 0xfU, 2U);
  EXPECT_EQ(port.free_streams(), 2U);
}

TEST_F(RootPortIde, ConfigureShowsInTheRegisters) {
  ASSERT_TRUE(configure().has_value());
  EXPECT_EQ(reg(kBlock0 + kControl), 7U << 24U);
  EXPECT_EQ(reg(kBlock0 + kRid1), std::uint32_t{kRidLast} << 8U);
  EXPECT_EQ(reg(kBlock0 + kRid2), std::uint32_t{kRidFirst} << 8U | 1U);
  EXPECT_EQ(reg(kBlock0 + kAddress1), 0x3ffU << 20U | 1U);
  EXPECT_EQ(reg(kBlock0 + kAddress1 + 4), 0x38U);
  EXPECT_EQ(reg(kBlock0 + kAddress1 + 8), 0x38U);
  EXPECT_EQ(port.stream_state(0), IdeStreamState::kConfigured);
  EXPECT_EQ(port.free_streams(), 1U);
  EXPECT_EQ(port.find_stream(7), 0U);
}

TEST_F(RootPortIde, ConfigureRefusesWhatIsTakenOrWrong) {
  ASSERT_TRUE(configure().has_value());
  EXPECT_EQ(configure(0, 8).error().code, Errno::kBusy);
  EXPECT_EQ(configure(1, 7).error().code, Errno::kBusy);
  EXPECT_EQ(configure(2, 8).error().code, Errno::kInval);
  EXPECT_EQ(port.configure_stream(1, {.rid_first = 2, .rid_last = 1, .memory = {}}).error().code,
            Errno::kInval);
  EXPECT_EQ(
      port.configure_stream(1, {.memory = std::vector<IdeAssociation::Range>(3)}).error().code,
      Errno::kInval);
  EXPECT_TRUE(configure(1, 8).has_value());
}

TEST_F(RootPortIde, IsSecureOnlyWithSixRunningKeysAndTheEnableBit) {
  ASSERT_TRUE(configure().has_value());
  EXPECT_EQ(port.enable_stream(0).error().code, Errno::kNxio);
  program();
  EXPECT_EQ(port.stream_state(0), IdeStreamState::kKeys);
  const auto keys = keys_of(0);
  for (std::size_t n = 0; n < keys.size(); ++n) {
    EXPECT_EQ(port.enable_stream(0).error().code, Errno::kNxio) << n;
    ASSERT_TRUE(port.key_go(0, keys[n]).has_value());
  }
  EXPECT_EQ(reg(kBlock0 + kStatus) & 0xfU, 0U);
  ASSERT_TRUE(port.enable_stream(0).has_value());
  EXPECT_EQ(port.stream_state(0), IdeStreamState::kEnabled);
  EXPECT_EQ(reg(kBlock0 + kStatus) & 0xfU, 2U);
  EXPECT_TRUE(port.admit_trusted(kRidLast).has_value());
  EXPECT_EQ(port.admit_trusted(kRidLast + 1).error().code, Errno::kIo);
}

// PCIe Base Spec 6.33.4: a memory request downstream goes by address associations.
TEST_F(RootPortIde, TrustedAccessesPassWhereAnEnabledStreamHasTheAddress) {
  ASSERT_TRUE(configure().has_value());
  EXPECT_FALSE(port.admits_access(Hpa{0x38'0000'0000}));
  program();
  go();
  ASSERT_TRUE(port.enable_stream(0).has_value());
  EXPECT_TRUE(port.admits_access(Hpa{0x38'0000'0000}));
  EXPECT_TRUE(port.admits_access(Hpa{0x38'3fff'ffff}));
  EXPECT_FALSE(port.admits_access(Hpa{0x38'4000'0000}));
  EXPECT_FALSE(port.admits_access(Hpa{0x37'ffff'ffff}));
  EXPECT_FALSE(port.admits_access(Hpa{0xe000'0000}));  // no address at all: not valid
  ASSERT_TRUE(port.block_stream(0).has_value());
  EXPECT_FALSE(port.admits_access(Hpa{0x38'0000'0000}));
}

TEST(RootPort, WindowsAreThoseOfItsRegisters) {
  object::Trace trace;
  RootPort port(trace, options(0));
  const auto windows = bridge_windows(port);
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[0].base, 0xe000'0000U);
  EXPECT_EQ(windows[0].last, 0xe0ff'ffffU);
  EXPECT_EQ(windows[1].base, 0x38'0000'0000U);
  EXPECT_EQ(windows[1].last, 0x38'3fff'ffffU);
  RootPort::Options closed = options(0);
  closed.header.memory = closed.header.prefetchable = {};
  RootPort none(trace, closed);
  EXPECT_TRUE(bridge_windows(none).empty());
}

// pci_ide_stream_setup(), keys by firmware, pci_ide_stream_enable(), ..._disable().
TEST_F(RootPortIde, RegistersDriveAStreamAsLinuxDoes) {
  port.config_write(at(kBlock0 + kRid1), 4, std::uint32_t{kRidLast} << 8U);
  port.config_write(at(kBlock0 + kRid2), 4, std::uint32_t{kRidFirst} << 8U | 1U);
  port.config_write(at(kBlock0 + kControl), 4, 9U << 24U);
  EXPECT_EQ(port.stream_state(0), IdeStreamState::kConfigured);
  EXPECT_EQ(port.find_stream(9), 0U);
  program();
  go();
  EXPECT_EQ(port.admit_trusted(kRidFirst).error().code, Errno::kIo);
  port.config_write(at(kBlock0 + kControl), 4, 9U << 24U | 1U);
  EXPECT_EQ(reg(kBlock0 + kStatus) & 0xfU, 2U);
  EXPECT_TRUE(port.admit_trusted(kRidFirst).has_value());
  port.config_write(at(kBlock0 + kControl), 4, 9U << 24U);
  EXPECT_EQ(reg(kBlock0 + kStatus) & 0xfU, 0U);
  port.config_write(at(kBlock0 + kControl), 4, 9U << 24U | 1U);
  // The keys went with the enable bit.
  EXPECT_EQ(port.stream_state(0), IdeStreamState::kConfigured);
  port.config_write(at(kBlock0 + kRid2), 4, 0);
  EXPECT_EQ(port.free_streams(), 2U);
}

TEST_F(RootPortIde, KeysAreRefusedWhenUnfit) {
  EXPECT_EQ(port.program_key(0, {}, key(1)).error().code, Errno::kNxio);
  ASSERT_TRUE(configure().has_value());
  EXPECT_EQ(port.program_key(0, {}, Bytes(16)).error().code, Errno::kInval);
  EXPECT_EQ(port.program_key(0, {.key_set = 2}, key(1)).error().code, Errno::kInval);
  EXPECT_EQ(port.key_go(0, {}).error().code, Errno::kNxio);
  EXPECT_EQ(port.key_stop(0, {}).error().code, Errno::kNxio);
  ASSERT_TRUE(port.program_key(0, {}, key(1)).has_value());
  ASSERT_TRUE(port.key_go(0, {}).has_value());
  EXPECT_EQ(port.program_key(0, {}, key(2)).error().code, Errno::kBusy);
  ASSERT_TRUE(port.key_stop(0, {}).has_value());
  EXPECT_EQ(port.key_go(0, {}).error().code, Errno::kNxio);
}

TEST_F(RootPortIde, StreamIsRefreshedThroughTheOtherKeySet) {
  ASSERT_TRUE(configure().has_value());
  program(0);
  go(0);
  ASSERT_TRUE(port.enable_stream(0).has_value());
  program(1);
  go(1);
  // The new keys took over from the old ones, which are gone.
  for (const auto slot : keys_of(0)) EXPECT_EQ(port.key_stop(0, slot).error().code, Errno::kNxio);
  EXPECT_EQ(port.stream_state(0), IdeStreamState::kEnabled);
  ASSERT_TRUE(port.key_stop(0, keys_of(1).front()).has_value());
  EXPECT_NE(port.stream_state(0), IdeStreamState::kEnabled);
}

TEST_F(RootPortIde, BlockIsOneWayUntilRelease) {
  EXPECT_EQ(port.block_stream(0).error().code, Errno::kNxio);
  ASSERT_TRUE(configure().has_value());
  program();
  go();
  ASSERT_TRUE(port.enable_stream(0).has_value());
  ASSERT_TRUE(port.block_stream(0).has_value());
  EXPECT_EQ(port.block_stream(0).error().code, Errno::kAlready);
  EXPECT_EQ(port.program_key(0, {}, key(99)).error().code, Errno::kIo);
  EXPECT_EQ(port.enable_stream(0).error().code, Errno::kIo);
  port.config_write(at(kBlock0 + kControl), 4, 7U << 24U | 1U);
  EXPECT_EQ(port.stream_state(0), IdeStreamState::kBlocked);
  EXPECT_EQ(port.free_streams(), 1U);
  ASSERT_TRUE(port.release_stream(0).has_value());
  EXPECT_EQ(port.free_streams(), 2U);
  EXPECT_EQ(reg(kBlock0 + kRid2), 0U);
}

TEST_F(RootPortIde, EveryProgrammedKeyIsTracedByItsDigest) {
  ASSERT_TRUE(configure().has_value());
  ASSERT_TRUE(port.program_key(0, {}, key(1)).has_value());
  ASSERT_TRUE(port.program_key(0, {}, key(2)).has_value());
  ASSERT_TRUE(port.program_key(0, {}, key(1)).has_value());
  ASSERT_FALSE(port.program_key(0, {}, Bytes(1)).has_value());
  const auto& events = trace.events();
  ASSERT_EQ(events.size(), 3U);
  for (const auto& event : events) {
    EXPECT_EQ(event.fact, Fact::kKeyUsed);
    EXPECT_EQ(event.a, 7U);
  }
  EXPECT_NE(events[0].b, events[1].b);
  EXPECT_EQ(events[0].b, events[2].b);
}

TEST_F(RootPortIde, ResetFreesAllStreams) {
  ASSERT_TRUE(configure().has_value());
  program();
  ASSERT_TRUE(port.block_stream(0).has_value());
  port.reset(ResetKind::kHot);
  EXPECT_EQ(port.free_streams(), 2U);
}

TEST(RootPort, WithoutIdeHasNoStreams) {
  object::Trace trace;
  RootPort port(trace, options(0));
  EXPECT_FALSE(find_extended_capability(port, kExtendedIde));
  EXPECT_EQ(port.streams(), 0U);
  EXPECT_EQ(port.configure_stream(0, {}).error().code, Errno::kInval);
  EXPECT_EQ(port.admit_trusted(0x100).error().code, Errno::kIo);
}

TEST(RootPort, IsABridgeWithItsWindowsAndTheTeeBit) {
  object::Trace trace;
  RootPort port(trace, options(1));
  EXPECT_TRUE(is_bridge(port));
  EXPECT_EQ(port.config_read(0x18, 4), 0x0001'0100U);
  EXPECT_EQ(port.config_read(0x20, 4), 0xe0f0'e000U);
  EXPECT_EQ(port.config_read(0x24, 4), 0x3ff1'0001U);
  EXPECT_EQ(port.config_read(0x28, 4), 0x38U);
  const auto express = find_capability(port, kCapabilityPcie);
  ASSERT_TRUE(express);
  EXPECT_EQ(port.config_read(static_cast<std::uint16_t>(*express + 2), 2) >> 4U & 0xfU, 4U);
  EXPECT_NE(port.config_read(static_cast<std::uint16_t>(*express + 4), 4) & kDeviceCapabilityTeeIo,
            0U);
}

}  // namespace
}  // namespace teeio::hw
