// A function whose user lets it sleep: Linux drivers/vfio/pci/vfio_pci_core.c,
// vfio_pci_core_pm_entry() and what follows it.

#include <optional>

#include "host/vfio/awake.h"
#include "hw/pci_function.h"
#include "unit/host/vfio/set_irq.h"
#include "unit/machine/make_machine.h"

namespace teeio::vfio::low_power_test {
namespace {

using machine::Machine;
using machine::test::error_of;
using machine::test::make_machine;
using machine::test::Vmm;

constexpr std::uint64_t kConfigSpace = std::uint64_t{kConfigRegion} << kRegionShift;
constexpr std::uint64_t kMemoryBar = std::uint64_t{2} << kRegionShift;
constexpr std::uint32_t kEntry = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
                        kWithWakeup = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
                        kExit = VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, kSet = VFIO_DEVICE_FEATURE_SET,
                        kGet = VFIO_DEVICE_FEATURE_GET, kProbe = VFIO_DEVICE_FEATURE_PROBE;

/// VFs would keep their PF awake.
void remove_vfs(machine::Program& root) {
  ASSERT_TRUE(root.echo("Y\n", "/sys/module/vfio_pci/parameters/enable_sriov").has_value());
  ASSERT_TRUE(root.echo("0\n", "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/sriov_numvfs")
                  .has_value());
}

struct LowPowerTest : testing::Test {
  void SetUp() override {
    remove_vfs(root);
    ASSERT_TRUE(vmm.open_device("/dev/vfio/devices/vfio0").has_value());
    ASSERT_TRUE(vmm.bind_iommufd().has_value());
    constexpr std::uint16_t kMemory = 2;
    ASSERT_TRUE(vmm.pwrite(vmm.vfio, kConfigSpace + 4, bytes_of(kMemory)).has_value());
  }
  Result<std::int64_t> feature(std::uint32_t flags) {
    struct {
      std::uint32_t argsz, flags;
    } arg{sizeof(arg), flags};
    return vmm.ioctl(vmm.vfio, VFIO_DEVICE_FEATURE, arg);
  }
  Result<std::int64_t> enter_with(int fd, std::uint32_t argsz = 16) {
    struct {
      std::uint32_t argsz, flags;
      abi::vfio_device_low_power_entry_with_wakeup entry;
    } arg{argsz, kSet | kWithWakeup, {.wakeup_eventfd = fd, .reserved = 0}};
    return vmm.ioctl(vmm.vfio, VFIO_DEVICE_FEATURE, arg);
  }
  int make_event() { return *vmm.install(object::Ref<object::File>(event)); }
  std::string power_state() {
    return *root.cat("/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/power_state");
  }
  Device& device() { return static_cast<DeviceFile&>(**vmm.file(vmm.vfio)).device(); }
  std::uint32_t read(std::uint64_t at) {
    std::uint32_t value = 0;
    EXPECT_TRUE(vmm.pread(vmm.vfio, at, writable_bytes_of(value)).has_value());
    return value;
  }

  const std::unique_ptr<Machine> machine = make_machine();
  Vmm vmm{*machine};
  machine::Program root{*machine, 9};
  object::Ref<mm::PlainEventFd> event = object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd);
};

TEST_F(LowPowerTest, SleepsBetweenCallsAndAnswersAllOfThem) {
  EXPECT_EQ(power_state(), "D0\n");
  const std::uint32_t value = 0x1234'5678;
  ASSERT_TRUE(vmm.pwrite(vmm.vfio, kMemoryBar, bytes_of(value)).has_value());
  ASSERT_TRUE(feature(kSet | kEntry).has_value());
  EXPECT_EQ(power_state(), "D3hot\n");
  EXPECT_EQ(read(kMemoryBar), value);
  EXPECT_EQ(read(kConfigSpace) & 0xffff, read(kConfigSpace) & 0xffff);
  EXPECT_EQ(power_state(), "D3hot\n");
  EXPECT_EQ(error_of(feature(kSet | kEntry)), Errno::kInval);
  EXPECT_EQ(error_of(enter_with(make_event())), Errno::kInval);
  ASSERT_TRUE(feature(kSet | kExit).has_value());
  EXPECT_EQ(power_state(), "D0\n");
  EXPECT_TRUE(feature(kSet | kExit).has_value()) << "twice does not matter";
}

TEST_F(LowPowerTest, MappingsAndBuffersAreGoneUntilItIsLeft) {
  ASSERT_TRUE(vmm.mmap(vmm.vfio, kMemoryBar, kPageSize).has_value());
  ASSERT_TRUE(vmm.mapped(vmm.vfio).touch(kMemoryBar).has_value());
  ASSERT_TRUE(feature(kSet | kEntry).has_value());
  EXPECT_FALSE(vmm.mapped(vmm.vfio).touch(kMemoryBar).has_value());
  (void)read(kMemoryBar);
  EXPECT_FALSE(vmm.mapped(vmm.vfio).touch(kMemoryBar).has_value()) << "awake, and not left";
  ASSERT_TRUE(feature(kSet | kExit).has_value());
  EXPECT_TRUE(vmm.mapped(vmm.vfio).touch(kMemoryBar).has_value());
}

TEST_F(LowPowerTest, AnAccessOfTheHostsWakesItForGoodWhereItsUserIsTold) {
  ASSERT_TRUE(enter_with(make_event()).has_value());
  EXPECT_EQ(power_state(), "D3hot\n");
  EXPECT_EQ(event->take(), 0U);
  std::array<std::byte, 4> bytes{};
  const int config = *root.open("/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/config");
  ASSERT_TRUE(root.pread(config, 0, bytes).has_value());
  EXPECT_EQ(event->take(), 1U);
  EXPECT_EQ(power_state(), "D0\n");
  (void)read(kMemoryBar);
  EXPECT_EQ(power_state(), "D0\n");
  EXPECT_EQ(event->take(), 0U);
  ASSERT_TRUE(enter_with(make_event()).has_value()) << "it was left by that";
  EXPECT_TRUE(feature(kSet | kExit).has_value());
  EXPECT_EQ(event->take(), 1U) << "the exit itself is a call that wakes";
}

TEST_F(LowPowerTest, RefusesAsLinuxDoes) {
  for (const std::uint32_t one : {kEntry, kWithWakeup, kExit}) {
    EXPECT_TRUE(feature(kProbe | kSet | one).has_value()) << one;
    EXPECT_TRUE(feature(kProbe | one).has_value()) << one;
    EXPECT_EQ(error_of(feature(kGet | one)), Errno::kInval) << one;
    EXPECT_EQ(error_of(feature(kProbe | kGet | one)), Errno::kInval) << one;
  }
  EXPECT_EQ(error_of(enter_with(-1)), Errno::kInval);
  EXPECT_EQ(error_of(enter_with(999)), Errno::kBadF);
  EXPECT_EQ(error_of(enter_with(vmm.iommufd)), Errno::kInval);
  EXPECT_EQ(error_of(enter_with(make_event(), 15)), Errno::kInval);
  EXPECT_EQ(power_state(), "D0\n");
}

TEST_F(LowPowerTest, EndsWithTheLastClose) {
  ASSERT_TRUE(enter_with(make_event()).has_value());
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  EXPECT_EQ(event->take(), 0U);
  EXPECT_EQ(power_state(), "D0\n");
  ASSERT_TRUE(vmm.open_device("/dev/vfio/devices/vfio0").has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  EXPECT_TRUE(feature(kSet | kEntry).has_value());
  EXPECT_EQ(power_state(), "D3hot\n") << "its next user's sleep is a sleep";
  EXPECT_TRUE(feature(kSet | kExit).has_value());
  EXPECT_EQ(power_state(), "D0\n");
}

// pm_runtime_resume_and_get() of each call counts, whether low power was entered before or after.
TEST_F(LowPowerTest, ACallThatBeganBeforeTheEntryEndsAwake) {
  std::optional<Awake> call(std::in_place, device());
  ASSERT_TRUE(feature(kSet | kEntry).has_value());
  EXPECT_EQ(power_state(), "D0\n");
  call.reset();
  EXPECT_EQ(power_state(), "D3hot\n");
}

// The count is the function's, not its user's.
TEST_F(LowPowerTest, ACallThatOutlivesTheLastCloseTakesNobodyElsesPlace) {
  ASSERT_TRUE(feature(kSet | kEntry).has_value());
  std::optional<Awake> before(std::in_place, device());
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  ASSERT_TRUE(vmm.open_device("/dev/vfio/devices/vfio0").has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  ASSERT_TRUE(feature(kSet | kEntry).has_value());
  std::optional<Awake> now(std::in_place, device());
  before.reset();
  EXPECT_EQ(power_state(), "D0\n");
  now.reset();
  EXPECT_EQ(power_state(), "D3hot\n");
}

bool feature_of(Vmm& vmm, std::uint32_t feature) {
  struct {
    std::uint32_t argsz, flags;
  } arg{sizeof(arg), kSet | feature};
  return vmm.ioctl(vmm.vfio, VFIO_DEVICE_FEATURE, arg).has_value();
}

/// A function that sleeps with its INTx on is bound by the iommufd, which is no call on it.
TEST(LowPower, ABindUnmasksIntxToo) {
  const auto machine = make_machine("tdx-connect", "vfs = 2", "vfs = 0\nintx = true");
  Vmm vmm(*machine);
  ASSERT_TRUE(machine::test::connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare("/dev/vfio/devices/vfio0").has_value());
  const auto event = object::make_ref<mm::PlainEventFd>();
  const int fd = *vmm.install(object::Ref<object::File>(event));
  constexpr std::uint32_t kTrigger = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  ASSERT_TRUE(test::set_irq(vmm, kTrigger, abi::VFIO_PCI_INTX_IRQ_INDEX, fd).has_value());
  hw::PciFunction& function = static_cast<DeviceFile&>(**vmm.file(vmm.vfio)).device().pci();
  const auto masked = [&] { return (function.config_read(4, 2) & 0x400U) != 0; };
  EXPECT_FALSE(masked());
  ASSERT_TRUE(feature_of(vmm, kEntry));
  EXPECT_TRUE(masked());
  ASSERT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND).has_value());
  EXPECT_FALSE(masked());
}

// sriov_init() of drivers/pci/iov.c: a PF that can have no VFs is none, and nothing keeps it awake.
TEST(LowPower, ACardWithoutVfsSleeps) {
  const auto machine = make_machine("tdx-connect", "vfs = 2", "vfs = 0");
  Vmm vmm(*machine);
  const std::string card = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/";
  EXPECT_FALSE(vmm.cat(card + "sriov_totalvfs").has_value());
  ASSERT_TRUE(vmm.open_device("/dev/vfio/devices/vfio0").has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  ASSERT_TRUE(feature_of(vmm, kEntry));
  EXPECT_EQ(*vmm.cat(card + "power_state"), "D3hot\n");
}

TEST(LowPower, AfterAnUnbindItSleepsAgain) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  remove_vfs(vmm);
  ASSERT_TRUE(machine::test::connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare("/dev/vfio/devices/vfio0").has_value());
  const std::string state = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/power_state";
  ASSERT_TRUE(feature_of(vmm, kEntry));
  ASSERT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND).has_value());
  EXPECT_EQ(*vmm.cat(state), "D0\n");
  ASSERT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_UNBIND).has_value());
  EXPECT_EQ(*vmm.cat(state), "D3hot\n");
  ASSERT_TRUE(feature_of(vmm, kExit));
  EXPECT_EQ(*vmm.cat(state), "D0\n");
}

TEST(LowPower, ABoundFunctionStaysAwake) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  remove_vfs(vmm);
  ASSERT_TRUE(machine::test::connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare("/dev/vfio/devices/vfio0").has_value());
  struct {
    std::uint32_t argsz, flags;
  } entry{sizeof(entry), kSet | kEntry}, leave{sizeof(leave), kSet | kExit};
  // It sleeps, and the bind by the iommufd wakes it.
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_FEATURE, entry).has_value());
  const std::string state = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/power_state";
  EXPECT_EQ(*vmm.cat(state), "D3hot\n");
  ASSERT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND).has_value());
  EXPECT_EQ(*vmm.cat(state), "D0\n");
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_FEATURE, leave).has_value());
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_FEATURE, entry)), Errno::kBusy);
  EXPECT_EQ(*vmm.cat(state), "D0\n");
}

TEST(LowPower, VfsKeepTheirPfAwake) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.open_device("/dev/vfio/devices/vfio0").has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  struct {
    std::uint32_t argsz, flags;
  } entry{sizeof(entry), kSet | kEntry};
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_FEATURE, entry).has_value());
  EXPECT_EQ(*vmm.cat("/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/power_state"), "D0\n");
}

}  // namespace
}  // namespace teeio::vfio::low_power_test
