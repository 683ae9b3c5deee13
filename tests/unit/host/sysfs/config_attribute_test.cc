#include <gtest/gtest.h>

#include "host/kvm/kvm.h"
#include "host/kvm/vm_file.h"
#include "hw/find_capability.h"
#include "unit/host/sysfs/machine.h"

namespace teeio::sysfs::test {
namespace {

struct HostWithPorts : FakeHost {
  HostWithPorts() {
    card.bar[4] = {.kind = hw::Bar::Kind::kIo, .size = 8, .base = Hpa{0x2000}, .target = &ports};
  }
};

/// The VF is bound to a VM.
class ConfigOfBoundTdi : public testing::Test {
 protected:
  ConfigOfBoundTdi() {
    host.tsm().register_tsm(driver);
    system.refresh();
    EXPECT_TRUE(host.tsm().connect(kCard, "tsm0").has_value());
    system.refresh();
    EXPECT_TRUE(host.tsm().bind(kVf, vm.get(), 1).has_value());
    host.trace().keep_events(true);
  }
  ~ConfigOfBoundTdi() override { host.tsm().unbind(kVf); }

  std::size_t write(const std::string& directory, std::uint64_t offset, std::byte value) {
    const std::array<std::byte, 1> byte = {value};
    return system.tree().find(directory + "/config")->attribute->write(offset, byte).value();
  }
  /// How often the host was seen to reach a bound function.
  std::size_t touches() {
    return static_cast<std::size_t>(std::ranges::count(
        host.trace().events(), object::Fact::kHostTouched, &object::Event::fact));
  }

  HostWithPorts host;
  FakeTsm driver{host.port};
  System system{host};
  hw::PhysicalMemory memory{16 << 20};
  kvm::Kvm kvm{memory, nullptr, host.trace()};
  object::Ref<object::File> vm = kvm.create_vm(0, 1).value();
};

TEST_F(ConfigOfBoundTdi, SysfsShowsTheBinding) {
  EXPECT_EQ(show(system, kVfDir + "/tsm/bound"), "tsm0\n");
  EXPECT_EQ(show(system, kCardDir + "/tsm/bound"), "\n");
}

TEST_F(ConfigOfBoundTdi, AWriteThatChangesARegisterIsSeen) {
  constexpr std::uint64_t kCommand = 4;
  EXPECT_EQ(write(kVfDir, kCommand, std::byte{4}), 1U);
  EXPECT_EQ(touches(), 1U);
  EXPECT_EQ(host.trace().events().back().function, kVf);
  // The same value again changes nothing.
  EXPECT_EQ(write(kVfDir, kCommand, std::byte{4}), 1U);
  EXPECT_EQ(touches(), 1U);
}

TEST_F(ConfigOfBoundTdi, AFunctionLevelResetIsSeenThoughItsBitIsNotKept) {
  const auto express = hw::find_capability(host.vf, hw::kCapabilityPcie);
  ASSERT_TRUE(express.has_value());
  write(kVfDir, *express + hw::kExpressDeviceControl + 1U, std::byte{0x80});
  EXPECT_EQ(touches(), 1U);
}

TEST_F(ConfigOfBoundTdi, PortsThatAreReachedAreSeen) {
  ASSERT_TRUE(host.tsm().bind(kCard, vm.get(), 2).has_value());
  const auto& ports = *system.tree().find(kCardDir + "/resource4")->attribute;
  std::array<std::byte, 2> word{};
  EXPECT_EQ(ports.read(4, word).value_or(0), 2U);
  EXPECT_EQ(touches(), 1U);
  EXPECT_EQ(host.trace().events().back().function, kCard);
  EXPECT_EQ(ports.write(4, word).value_or(0), 2U);
  EXPECT_EQ(touches(), 2U);
  EXPECT_EQ(host.ports.accesses, 2);
  // What Linux refuses reaches nothing.
  EXPECT_FALSE(ports.write(7, word).has_value());
  EXPECT_EQ(ports.read(8, word).value_or(1), 0U);
  EXPECT_EQ(touches(), 2U);
  host.tsm().unbind(kCard);
  EXPECT_EQ(ports.read(4, word).value_or(0), 2U);
  EXPECT_EQ(touches(), 2U);
}

TEST_F(ConfigOfBoundTdi, WhatReachesNoDeviceIsNotSeen) {
  write(kVfDir, 0x3c, std::byte{0x5a});  // interrupt line: software's own
  write(kVfDir, 0x00, std::byte{0x5a});  // vendor: read only
  write(kCardDir, 4, std::byte{4});      // the card's PF is not bound
  EXPECT_EQ(touches(), 0U);
}

}  // namespace
}  // namespace teeio::sysfs::test
