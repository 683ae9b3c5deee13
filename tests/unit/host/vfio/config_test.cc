// What a program sees of a function's configuration space, and what of its writes reach
// the function: Linux drivers/vfio/pci/vfio_pci_config.c.

#include <map>

#include "host/vfio/virtual_config.h"
#include "hw/capabilities.h"
#include "unit/machine/make_machine.h"

namespace teeio::vfio {
namespace {

using machine::Machine;
using machine::test::error_of;
using machine::test::kPf;
using machine::test::kVf0;
using machine::test::make_machine;
using machine::test::Vmm;

constexpr std::uint64_t region(std::uint64_t index) { return index << kRegionShift; }
constexpr std::uint64_t kConfig = region(kConfigRegion);
constexpr std::string_view kPlainCard = "/dev/vfio/devices/vfio3";

struct ConfigTest : testing::Test {
  void open(std::string_view path = kPf) {
    ASSERT_TRUE(vmm.open_device(path).has_value());
    ASSERT_TRUE(vmm.bind_iommufd().has_value());
  }
  template <class T>
  T read(std::uint64_t at) {
    T value{};
    const auto done = vmm.pread(vmm.vfio, at, writable_bytes_of(value));
    EXPECT_TRUE(done.has_value());
    return value;
  }
  template <class T>
  void write(std::uint64_t at, T value) {
    EXPECT_TRUE(vmm.pwrite(vmm.vfio, at, bytes_of(value)).has_value());
  }
  std::uint16_t capability(std::uint8_t id) {
    std::uint8_t at = read<std::uint8_t>(kConfig + 0x34);
    while (at != 0 && read<std::uint8_t>(kConfig + at) != id)
      at = read<std::uint8_t>(kConfig + at + 1U);
    EXPECT_NE(at, 0) << "no capability " << int{id};
    return at;
  }
  std::map<std::uint16_t, std::uint16_t> extended() {  // id to offset
    std::map<std::uint16_t, std::uint16_t> found;
    for (std::uint16_t at = 0x100; at != 0;) {
      const auto header = read<std::uint32_t>(kConfig + at);
      found[static_cast<std::uint16_t>(header)] = at;
      at = static_cast<std::uint16_t>(header >> 20U);
    }
    return found;
  }

  std::unique_ptr<Machine> machine = make_machine();
  Vmm vmm{*machine};
};

TEST_F(ConfigTest, MailboxAndIdeOfThePfAreOutOfTheList) {
  open();
  const auto found = extended();
  EXPECT_TRUE(found.contains(0x10)) << "SR-IOV is shown";
  EXPECT_TRUE(found.contains(0x03)) << "what comes behind is linked";
  EXPECT_FALSE(found.contains(0x2e)) << "DOE";
  EXPECT_FALSE(found.contains(0x30)) << "IDE";
  // The registers of what is hidden belong to nobody and are read as they are.
  const std::uint16_t behind = found.at(0x10) + 0x40;
  EXPECT_EQ(read<std::uint16_t>(kConfig + behind), 0x2e);
}

TEST_F(ConfigTest, ProgramCannotSwitchVirtualFunctionsOff) {
  open();
  const std::uint64_t control = kConfig + extended().at(0x10) + 8U;
  const auto before = read<std::uint16_t>(control);
  EXPECT_NE(before & 1U, 0U);
  write<std::uint16_t>(control, 0);
  write<std::uint32_t>(control, 0);
  write<std::uint8_t>(control, 0);
  EXPECT_EQ(read<std::uint16_t>(control), before);
}

TEST_F(ConfigTest, IdentityAndLinksAreNotWritten) {
  open();
  for (const std::uint64_t at : {0x00U, 0x08U, 0x34U, 0x2cU, 0x3dU, 0x100U}) {
    const auto before = read<std::uint8_t>(kConfig + at);
    write<std::uint8_t>(kConfig + at, static_cast<std::uint8_t>(~before));
    EXPECT_EQ(read<std::uint8_t>(kConfig + at), before) << at;
  }
  const std::uint64_t next = kConfig + capability(0x10) + 1U;
  const auto before = read<std::uint8_t>(next);
  write<std::uint8_t>(next, 0);
  EXPECT_EQ(read<std::uint8_t>(next), before);
}

TEST_F(ConfigTest, InterruptLineAndIntxDisableAreTheProgramsOwn) {
  open();
  write<std::uint16_t>(kConfig + 0x3c, 0xff0b);
  EXPECT_EQ(read<std::uint16_t>(kConfig + 0x3c), 0x000b) << "the pin is not writable";
  const auto command = read<std::uint16_t>(kConfig + 4);
  write<std::uint16_t>(kConfig + 4, command | 0x400U);
  EXPECT_EQ(read<std::uint16_t>(kConfig + 4), command | 0x400U);
}

TEST_F(ConfigTest, VirtualFunctionHasMemoryEnableAndItsIds) {
  open(kVf0);
  EXPECT_EQ(read<std::uint16_t>(kConfig + 4) & 2U, 2U);
  EXPECT_NE(read<std::uint16_t>(kConfig), 0xffff);
  write<std::uint16_t>(kConfig + 4, 0);
  EXPECT_EQ(read<std::uint16_t>(kConfig + 4) & 2U, 0U);
  EXPECT_NO_FATAL_FAILURE(read<std::uint32_t>(0));  // its memory is the PF's to switch
}

TEST_F(ConfigTest, PayloadIsTheHostsAndReadRequestNotBelowIt) {
  open();
  const std::uint64_t control = kConfig + capability(0x10) + 8U;
  const auto before = read<std::uint16_t>(control);
  write<std::uint16_t>(control, static_cast<std::uint16_t>((before & 0x8f1fU) | 0x0020U));
  EXPECT_EQ(read<std::uint16_t>(control) & 0x70e0U, 0x0020U) << "as the program wrote it";
  write<std::uint16_t>(control, before | 0x0200U);
  EXPECT_EQ(read<std::uint16_t>(control) & 0x0200U, 0U) << "no phantom functions";
}

TEST_F(ConfigTest, FunctionLevelResetBitReadsAsZeroAndResets) {
  open();
  write<std::uint16_t>(kConfig + 4, 6);
  write<std::uint32_t>(0x40, 77);  // SCRATCH0
  const std::uint64_t control = kConfig + capability(0x10) + 8U;
  write<std::uint8_t>(control + 1, 0x80);
  EXPECT_EQ(read<std::uint16_t>(control) & 0x8000U, 0U);
  EXPECT_EQ(read<std::uint32_t>(0x40), 0U);
  EXPECT_EQ(read<std::uint16_t>(kConfig + 4) & 6U, 6U) << "saved and restored";
}

TEST_F(ConfigTest, MsixIsEnabledByTheIoctlOnly) {
  open();
  const std::uint64_t control = kConfig + capability(0x11) + 2U;
  const auto before = read<std::uint16_t>(control);
  write<std::uint16_t>(control, before | 0xc000U);
  EXPECT_EQ(read<std::uint16_t>(control), before);
}

TEST_F(ConfigTest, MsixTableReadsAsOnesAndDropsWrites) {
  open();
  write<std::uint16_t>(kConfig + 4, 6);
  const std::uint16_t msix = capability(0x11);
  const auto entries = (read<std::uint16_t>(kConfig + msix + 2U) & 0x7ffU) + 1;
  const auto where = read<std::uint32_t>(kConfig + msix + 4U);
  const std::uint64_t table = region(where & 7U) + (where & ~7U);
  write<std::uint32_t>(table, 0);
  EXPECT_EQ(read<std::uint32_t>(table), ~0U);
  // An access across its end sees the device again behind it.
  const auto across = read<std::array<std::uint8_t, 8>>(table + entries * 16 - 4);
  EXPECT_EQ(across[3], 0xff);
  EXPECT_NE(across[4], 0xff);
}

TEST_F(ConfigTest, MemoryOfASleepingFunctionIsGone) {
  open(kPlainCard);
  write<std::uint16_t>(kConfig + 4, 6);
  const std::uint64_t power = kConfig + capability(0x01) + 4U;
  std::uint32_t value = 0;
  write<std::uint16_t>(power, 3);
  EXPECT_EQ(read<std::uint16_t>(power) & 3U, 3U);
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, 0, writable_bytes_of(value))), Errno::kIo);
  EXPECT_EQ(error_of(vmm.pwrite(vmm.vfio, 0, bytes_of(value))), Errno::kIo);
  write<std::uint16_t>(power, 0);
  EXPECT_TRUE(vmm.pread(vmm.vfio, 0, writable_bytes_of(value)).has_value());
  write<std::uint16_t>(power, 1);
  EXPECT_EQ(read<std::uint16_t>(power) & 3U, 0U) << "the function has no D1";
  // A reset wakes.
  write<std::uint16_t>(power, 3);
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}).has_value());
  EXPECT_TRUE(vmm.pread(vmm.vfio, 0, writable_bytes_of(value)).has_value());
}

TEST_F(ConfigTest, PhysicalFunctionWithVirtualOnesStaysAwake) {
  open();
  write<std::uint16_t>(kConfig + 4, 6);
  const std::uint64_t power = kConfig + capability(0x01) + 4U;
  write<std::uint16_t>(power, 3);
  EXPECT_EQ(read<std::uint16_t>(power) & 3U, 0U);
  std::uint32_t value = 0;
  EXPECT_TRUE(vmm.pread(vmm.vfio, 0, writable_bytes_of(value)).has_value());
}

TEST_F(ConfigTest, NextOpenStartsFromTheFunctionAgain) {
  open(kPlainCard);
  write<std::uint32_t>(kConfig + 0x10, 0);
  write<std::uint8_t>(kConfig + 0x3c, 9);
  (void)vmm.close(std::exchange(vmm.vfio, -1));
  Vmm other(*machine, 2);
  ASSERT_TRUE(other.open_device(kPlainCard).has_value());
  ASSERT_TRUE(other.bind_iommufd().has_value());
  std::uint32_t bar = 0;
  ASSERT_TRUE(other.pread(other.vfio, kConfig + 0x10, writable_bytes_of(bar)).has_value());
  EXPECT_NE(bar & ~0xfU, 0U);
}

// --- Functions that no card of ours has ---

/// A function with plain registers.
struct BareFunction final : hw::PciFunction {
  BareFunction() { hw::add_endpoint_header(config, {.vendor = 0x1234, .device = 1}, bars_); }
  [[nodiscard]] Bdf bdf() const override { return {}; }
  std::uint32_t config_read(std::uint16_t offset, unsigned size) override {
    return config.read(offset, size);
  }
  void config_write(std::uint16_t offset, unsigned size, std::uint32_t value) override {
    config.write(offset, size, value);
  }
  [[nodiscard]] const std::array<hw::Bar, hw::kBarCount>& bars() const override { return bars_; }
  void reset(hw::ResetKind) override {}
  hw::PciFunction* physical_function() override { return nullptr; }
  void attach(hw::DmaPort&) override {}
  hw::ConfigSpace config;

 private:
  std::array<hw::Bar, hw::kBarCount> bars_{};
};

TEST(VirtualConfigTest, HiddenFirstExtendedCapabilityStaysAsAnAnchor) {
  BareFunction function;
  (void)hw::add_pci_express(function.config, {});
  const auto doe = function.config.add_extended_capability(0x2e, 2, 0x18);
  const auto serial = function.config.add_extended_capability(0x03, 1, 12);
  VirtualConfig config(function);
  config.init();
  EXPECT_EQ(doe, 0x100);
  EXPECT_EQ(config.read(0x100, 4), std::uint32_t{serial} << 20U) << "id and version are gone";
  EXPECT_EQ(config.read(serial, 2), 3U);
}

TEST(VirtualConfigTest, NothingButHiddenExtendedCapabilitiesIsAnEmptyList) {
  BareFunction function;
  (void)hw::add_pci_express(function.config, {});
  (void)function.config.add_extended_capability(0x2e, 2, 0x18);
  (void)function.config.add_extended_capability(0x30, 1, 0x40);
  VirtualConfig config(function);
  config.init();
  EXPECT_EQ(config.read(0x100, 4), 0U);
}

TEST(VirtualConfigTest, HiddenCapabilitiesLeaveTheListAndNothingElse) {
  BareFunction function;
  const auto hidden = function.config.add_capability(0x0d, 8);  // a bridge's subsystem ids
  const auto vendor = function.config.add_capability(0x09, 8);
  function.config.set(static_cast<std::uint16_t>(vendor + 2), 1, 8);
  VirtualConfig config(function);
  config.init();
  EXPECT_EQ(config.read(0x34, 1), vendor);
  EXPECT_EQ(config.read(hidden, 1), 0x0dU);
  EXPECT_TRUE(config.is_raw(hidden));
  EXPECT_TRUE(config.is_raw(vendor));
}

TEST(VirtualConfigTest, HeaderSaysThatThereIsNoListWhenAllIsHidden) {
  BareFunction function;
  (void)function.config.add_capability(0x0d, 8);
  VirtualConfig config(function);
  config.init();
  EXPECT_EQ(config.read(0x06, 2) & 0x10U, 0U);
}

TEST(VirtualConfigTest, PowerEventsAreTheHosts) {
  BareFunction function;
  const std::uint16_t pm = hw::add_power_management(function.config);
  function.config.set(static_cast<std::uint16_t>(pm + 2), 2, 0xf803);
  function.config.set(static_cast<std::uint16_t>(pm + 4), 2, 0x8108);
  VirtualConfig config(function);
  config.init();
  EXPECT_EQ(config.read(static_cast<std::uint16_t>(pm + 2), 2), 0x0003U);
  EXPECT_EQ(config.read(static_cast<std::uint16_t>(pm + 4), 2), 0x0008U);
}

TEST(VirtualConfigTest, AccessesDoNotCrossCapabilities) {
  BareFunction function;
  const std::uint16_t vendor = function.config.add_capability(0x09, 6);
  function.config.set(static_cast<std::uint16_t>(vendor + 2), 1, 6);
  VirtualConfig config(function);
  config.init();
  EXPECT_EQ(config.chunk(vendor, 16), 4U);
  EXPECT_EQ(config.chunk(static_cast<std::uint16_t>(vendor + 4), 16), 2U) << "it has six bytes";
  EXPECT_EQ(config.chunk(static_cast<std::uint16_t>(vendor + 6), 16), 2U);
  EXPECT_EQ(config.chunk(static_cast<std::uint16_t>(vendor + 1), 3), 1U);
}

TEST(VirtualConfigTest, EveryWriteOfEveryValueKeepsWhatIsNotWritable) {
  BareFunction function;
  (void)hw::add_power_management(function.config);
  (void)hw::add_pci_express(function.config, {.function_level_reset = true});
  (void)function.config.add_extended_capability(0x01, 2, 0x48);
  (void)function.config.add_extended_capability(0x10, 1, 0x40);
  VirtualConfig config(function);
  config.init();
  for (std::uint16_t at = 0; at < hw::ConfigSpace::kSize; ++at) {
    if (config.is_raw(at) || config.is_writable(at, 1)) continue;
    for (const std::uint32_t value : {0x00U, 0xffU, 0x5aU, 0xa5U}) {
      const std::uint32_t before = config.read(at, 1);
      EXPECT_FALSE(config.write(at, 1, value).has_value()) << at;
      EXPECT_EQ(config.read(at, 1), before) << at;
    }
  }
}

}  // namespace
}  // namespace teeio::vfio
