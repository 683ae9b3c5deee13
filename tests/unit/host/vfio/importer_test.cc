// Whoever uses a function's BAR through a dma-buf is told before the BAR cannot be reached
// any more, and not let back in before it can.

#include <vector>

#include "host/vfio/device.h"
#include "hw/find_capability.h"
#include "unit/machine/make_machine.h"

namespace teeio::vfio {
namespace {

using machine::test::kPf;
using machine::test::make_machine;
using machine::test::Vmm;

constexpr std::uint64_t kWitnessedConfig = std::uint64_t{kConfigRegion} << kRegionShift;
constexpr std::uint64_t kWitnessedBar = std::uint64_t{2} << kRegionShift;
constexpr std::uint16_t kMemoryAndMaster = 6;

/// What an importer can reach when it is told that something changes.
struct BarWitness final : dmabuf::Importer {
  struct Seen {
    bool memory_on;
    std::uint32_t word;
    bool operator==(const Seen&) const = default;
  };
  explicit BarWitness(hw::PciFunction& of) : function(of) {}
  void invalidated(dmabuf::Attachment&) override {
    std::uint32_t word = 0;
    function.bars()[2].target->mmio_read(0, writable_bytes_of(word));
    seen.push_back({(function.config_read(4, 2) & 2U) != 0, word});
  }
  hw::PciFunction& function;
  std::vector<Seen> seen;
};

struct ImporterTest : testing::Test {
  explicit ImporterTest(std::unique_ptr<machine::Machine> made = make_machine())
      : machine(std::move(made)) {}
  void SetUp() override {
    ASSERT_TRUE(vmm.open_device(kPf).has_value());
    ASSERT_TRUE(vmm.bind_iommufd().has_value());
    ASSERT_TRUE(config<std::uint16_t>(4, kMemoryAndMaster).has_value());
    ASSERT_TRUE(vmm.pwrite(vmm.vfio, kWitnessedBar, bytes_of(kWord)).has_value());
    const int fd = *vmm.export_bar(2, kPageSize);
    buffer = object::Ref<dmabuf::DmaBuf>::share(static_cast<dmabuf::DmaBuf&>(**vmm.file(fd)));
    attachment = *buffer->attach(witness);
  }
  void TearDown() override { buffer->detach(*attachment); }
  Device& device() { return static_cast<DeviceFile&>(**vmm.file(vmm.vfio)).device(); }
  template <class T>
  Result<void> config(std::uint64_t at, T value) {
    TEEIO_TRY(vmm.pwrite(vmm.vfio, kWitnessedConfig + at, bytes_of(value)));
    return {};
  }
  [[nodiscard]] bool low_power(std::uint32_t feature) {
    struct {
      std::uint32_t argsz, flags;
    } arg{sizeof(arg), VFIO_DEVICE_FEATURE_SET | feature};
    return vmm.ioctl(vmm.vfio, VFIO_DEVICE_FEATURE, arg).has_value();
  }
  [[nodiscard]] bool revoked() {
    const schedule::Lock lock(buffer->resv());
    return buffer->revoked();
  }

  static constexpr std::uint32_t kWord = 0x5eed;
  static constexpr BarWitness::Seen kReachable{.memory_on = true, .word = kWord};
  std::unique_ptr<machine::Machine> machine;
  Vmm vmm{*machine};
  object::Ref<dmabuf::DmaBuf> buffer;
  dmabuf::Attachment* attachment = nullptr;
  BarWitness witness{*first_function()};

 private:
  /// The PF, before anything has it open.
  hw::PciFunction* first_function() {
    Vmm other(*machine, 2);
    EXPECT_TRUE(other.open_device(kPf).has_value());
    return &static_cast<DeviceFile&>(**other.file(other.vfio)).device().pci();
  }
};

TEST_F(ImporterTest, IsToldBeforeMemoryGoesOffAndAfterItIsOn) {
  ASSERT_TRUE(config<std::uint16_t>(4, 4).has_value());
  ASSERT_EQ(witness.seen.size(), 1U);
  EXPECT_EQ(witness.seen[0], kReachable);
  EXPECT_TRUE(revoked());
  ASSERT_TRUE(config<std::uint16_t>(4, kMemoryAndMaster).has_value());
  ASSERT_EQ(witness.seen.size(), 2U);
  EXPECT_EQ(witness.seen[1], kReachable);
  EXPECT_FALSE(revoked());
}

TEST_F(ImporterTest, IsToldBeforeAResetAndAfterIt) {
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}).has_value());
  ASSERT_EQ(witness.seen.size(), 2U);
  EXPECT_EQ(witness.seen[0], kReachable);
  EXPECT_TRUE(witness.seen[1].memory_on);
  EXPECT_FALSE(revoked());
}

TEST_F(ImporterTest, IsNotLetBackInByAResetWhileMemoryIsOff) {
  ASSERT_TRUE(config<std::uint16_t>(4, 4).has_value());
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}).has_value());
  EXPECT_TRUE(revoked());
}

TEST_F(ImporterTest, IsNotLetBackInByAnUnbindWhileMemoryIsOff) {
  ASSERT_TRUE(config<std::uint16_t>(4, 4).has_value());
  device().recover_mmio();
  EXPECT_TRUE(revoked());
}

/// A bound function's unbind has taken its dma-bufs away (TeardownHandlers), and gives them back
/// itself: the program's write that wakes the function does not come in between.
TEST_F(ImporterTest, IsNotLetBackInByAMoveToD0DuringItsUnbind) {
  const auto pm = hw::find_capability(device().pci(), 0x01);
  ASSERT_TRUE(pm.has_value());
  device().set_bound(true);
  device().disable_mmio();
  ASSERT_TRUE(revoked());
  ASSERT_TRUE(config<std::uint16_t>(*pm + 4U, 0).has_value());
  EXPECT_TRUE(revoked());
  device().set_bound(false);
  device().recover_mmio();
  EXPECT_FALSE(revoked());
}

/// Nor does the end of low power, which the bind has woken it from.
TEST_F(ImporterTest, IsNotLetBackInByTheEndOfLowPowerDuringItsUnbind) {
  ASSERT_TRUE(low_power(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY));
  ASSERT_TRUE(revoked());
  device().set_bound(true);
  device().disable_mmio();
  ASSERT_TRUE(low_power(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT));
  EXPECT_TRUE(revoked());
  device().set_bound(false);
  device().recover_mmio();
  EXPECT_FALSE(revoked());
}

/// What an entry has taken away the exit gives back, not the unbind of a bind in between.
TEST_F(ImporterTest, IsNotLetBackInByAnUnbindWhileLowPowerIsEntered) {
  ASSERT_TRUE(low_power(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY));
  device().set_bound(true);
  device().disable_mmio();
  device().recover_mmio();
  device().set_bound(false);
  EXPECT_TRUE(revoked());
  ASSERT_TRUE(low_power(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT));
  EXPECT_FALSE(revoked());
}

TEST_F(ImporterTest, IsToldBeforeTheLastCloseResetsTheFunction) {
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  ASSERT_FALSE(witness.seen.empty());
  EXPECT_EQ(witness.seen[0], kReachable);
  EXPECT_TRUE(revoked());
}

struct MainlineImporter : ImporterTest {
  MainlineImporter()
      : ImporterTest(make_machine(machine::kDefaultMachine, "close_order = \"unbind-first\"",
                                  "close_order = \"mainline\"")) {}
};

TEST_F(MainlineImporter, IsToldBeforeTheLastCloseResetsTheFunction) {
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  ASSERT_FALSE(witness.seen.empty());
  EXPECT_EQ(witness.seen[0], kReachable);
}

TEST_F(ImporterTest, StaysOutForGoodAfterTheLastClose) {
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  buffer->restore();
  EXPECT_TRUE(revoked());
  EXPECT_FALSE(buffer->attach(witness).has_value());
}

// The VFIO file that was taken out of KVM's VFIO device is no VM's any more.
TEST(VmOfAVfioFile, IsNobodysAfterFileDel) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.make_vm().has_value());
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  ASSERT_TRUE(vmm.associate().has_value());
  ASSERT_TRUE(vmm.associate(KVM_DEV_VFIO_FILE_DEL).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  EXPECT_EQ(static_cast<DeviceFile&>(**vmm.file(vmm.vfio)).device().vm_file(), nullptr);
}

}  // namespace
}  // namespace teeio::vfio
