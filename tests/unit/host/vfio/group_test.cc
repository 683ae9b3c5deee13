// Groups and what excludes what. Order and errno: Linux drivers/vfio/group.c, container.c,
// device_cdev.c.

#include "host/vfio/device_name.h"
#include "unit/host/vfio/group_vmm.h"

namespace teeio::vfio {
namespace {

using machine::Machine;
using machine::test::error_of;
using machine::test::kPf;
using machine::test::kPlainCard;
using machine::test::kVf0;
using machine::test::make_machine;
using namespace test;

struct GroupTest : testing::Test {
  explicit GroupTest(std::unique_ptr<Machine> made = make_machine()) : machine(std::move(made)) {}
  [[nodiscard]] std::string used() { return machine->census().at("in use by VFIO 0000:01:00.1"); }
  std::unique_ptr<Machine> machine;
  GroupVmm vmm{*machine};
};

// --- Groups ---

TEST_F(GroupTest, IsThereWhileAFunctionIsOnVfioPci) {
  EXPECT_EQ(error_of(vmm.open("/dev/vfio/0")), Errno::kNoEnt);  // a root port's
  EXPECT_EQ(error_of(vmm.open("/dev/vfio/99")), Errno::kNoEnt);
  EXPECT_EQ(error_of(vmm.open("/dev/vfio/03")), Errno::kNoEnt);
  ASSERT_TRUE(vmm.echo("0000:01:00.1", "/sys/bus/pci/drivers/vfio-pci/unbind").has_value());
  EXPECT_EQ(error_of(vmm.open(kVfGroup)), Errno::kNoEnt);
  ASSERT_TRUE(vmm.echo("0000:01:00.1", "/sys/bus/pci/drivers/vfio-pci/bind").has_value());
  EXPECT_TRUE(vmm.open(kVfGroup).has_value());
}

TEST_F(GroupTest, IsOpenOnce) {
  const auto first = vmm.open(kVfGroup);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(error_of(vmm.open(kVfGroup)), Errno::kBusy);
  ASSERT_TRUE(vmm.close(*first).has_value());
  EXPECT_TRUE(vmm.open(kVfGroup).has_value());
}

TEST_F(GroupTest, StatusSaysViableAndThenThatItHasAContainer) {
  const int group = *vmm.open(kVfGroup);
  EXPECT_EQ(vmm.status(group), VFIO_GROUP_FLAGS_VIABLE);
  const int container = *vmm.open("/dev/vfio/vfio");
  ASSERT_TRUE(vmm.set_container(group, container).has_value());
  EXPECT_EQ(vmm.status(group), VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
  abi::vfio_group_status small{.argsz = 7, .flags = 0};
  EXPECT_EQ(error_of(vmm.ioctl(group, VFIO_GROUP_GET_STATUS, small)), Errno::kInval);
}

TEST_F(GroupTest, ContainerIsSetOnceAndIsAContainer) {
  const int group = *vmm.open(kVfGroup);
  const int container = *vmm.open("/dev/vfio/vfio");
  EXPECT_EQ(error_of(vmm.set_container(group, 999)), Errno::kBadF);
  EXPECT_EQ(error_of(vmm.set_container(group, group)), Errno::kBadFd);
  EXPECT_EQ(error_of(vmm.ioctl(group, VFIO_GROUP_SET_CONTAINER, std::uint64_t{0})), Errno::kFault);
  EXPECT_EQ(error_of(vmm.ioctl(group, VFIO_GROUP_UNSET_CONTAINER, std::uint64_t{0})),
            Errno::kInval);
  ASSERT_TRUE(vmm.set_container(group, container).has_value());
  EXPECT_EQ(error_of(vmm.set_container(group, container)), Errno::kInval);
  EXPECT_TRUE(vmm.ioctl(group, VFIO_GROUP_UNSET_CONTAINER, std::uint64_t{0}).has_value());
  EXPECT_TRUE(vmm.set_container(group, container).has_value());
}

TEST_F(GroupTest, DeviceNeedsAContainerWithAnIommu) {
  const int group = *vmm.open(kVfGroup);
  EXPECT_EQ(error_of(vmm.get_device(group, kVfName)), Errno::kInval);
  const int container = *vmm.open("/dev/vfio/vfio");
  ASSERT_TRUE(vmm.set_container(group, container).has_value());
  EXPECT_EQ(error_of(vmm.get_device(group, kVfName)), Errno::kInval);
  ASSERT_TRUE(vmm.ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU).has_value());
  EXPECT_TRUE(vmm.get_device(group, kVfName).has_value());
}

TEST_F(GroupTest, DeviceIsNamedByItsAddress) {
  ASSERT_TRUE(vmm.open_group().has_value());
  EXPECT_EQ(error_of(vmm.get_device(vmm.group, "0000:01:00.0")), Errno::kNoDev);
  EXPECT_EQ(error_of(vmm.get_device(vmm.group, "")), Errno::kNoDev);
  EXPECT_EQ(error_of(vmm.get_device(vmm.group, "0000:01:00.1x")), Errno::kNoDev);
  EXPECT_EQ(error_of(vmm.get_device(vmm.group, "0000:01:00.1 colour=red")), Errno::kInval);
  EXPECT_EQ(error_of(vmm.get_device(vmm.group, "0000:01:00.1 vf_token=1")), Errno::kInval);
  EXPECT_EQ(error_of(vmm.ioctl(vmm.group, VFIO_GROUP_GET_DEVICE_FD, std::uint64_t{0})),
            Errno::kFault);
  const std::string long_name(2 * kPageSize, 'x');
  EXPECT_EQ(error_of(vmm.get_device(vmm.group, long_name)), Errno::kInval);
  EXPECT_TRUE(vmm.get_device(vmm.group, "0000:01:00.1  ").has_value());
}

TEST(DeviceName, HasOneTokenAtMost) {
  constexpr std::string_view kBdf = "0000:01:00.1";
  const std::string name(kBdf), token = " vf_token=01020304-0506-0708-090A-0b0c0d0e0f10";
  const auto parsed = DeviceName::parse(name + token, kBdf);
  ASSERT_TRUE(parsed.has_value() && parsed->token.has_value());
  for (std::size_t i = 0; i < parsed->token->size(); ++i)
    EXPECT_EQ(std::to_integer<std::size_t>(parsed->token->at(i)), i + 1);
  EXPECT_EQ(error_of(DeviceName::parse(name + token + token, kBdf)), Errno::kInval);
  EXPECT_EQ(error_of(DeviceName::parse(name + token + "x", kBdf)), Errno::kInval);
  std::string bad = name + token;
  bad[bad.size() - 13] = '0';  // the last dash
  EXPECT_EQ(error_of(DeviceName::parse(bad, kBdf)), Errno::kInval);
  EXPECT_FALSE(DeviceName::parse("0000:01:00.10" + token, kBdf)->matches);
}

TEST_F(GroupTest, DeviceTakesTheTokenOfItsPf) {
  constexpr std::string_view kUuid = "01020304-0506-0708-090a-0b0c0d0e0f10";
  ASSERT_TRUE(vmm.open_group(kPfGroup).has_value());
  EXPECT_TRUE(vmm.get_device(vmm.group, "0000:01:00.0 vf_token=" + std::string(kUuid)).has_value());
  // A VF that was there at boot has no token to ask for.
  GroupVmm other(*machine, 2);
  ASSERT_TRUE(other.open_group().has_value());
  EXPECT_EQ(error_of(other.get_device(other.group, "0000:01:00.1 vf_token=" + std::string(kUuid))),
            Errno::kInval);
}

TEST_F(GroupTest, DeviceOfAGroupWorksWithoutABind) {
  ASSERT_TRUE(vmm.open_in_group().has_value());
  abi::vfio_device_info info{};
  info.argsz = sizeof(info);
  EXPECT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_GET_INFO, info).has_value());
  EXPECT_EQ(vmm.read<std::uint32_t>(0), 0x31414d44U);
  EXPECT_EQ(error_of(vmm.bind_iommufd()), Errno::kInval);
  abi::vfio_device_attach_iommufd_pt attach{};
  attach.argsz = sizeof(attach);
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_ATTACH_IOMMUFD_PT, attach)), Errno::kNoTty);
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_DETACH_IOMMUFD_PT, attach)), Errno::kNoTty);
  EXPECT_EQ(error_of(vmm.vfio_bind(1)), Errno::kInval);  // no iommufd: no vDEVICE to bind
}

TEST_F(GroupTest, DeviceIsGivenSeveralTimesAndTheFirstOneIsMapped) {
  ASSERT_TRUE(vmm.open_in_group().has_value());
  const auto second = vmm.get_device(vmm.group, kVfName);
  ASSERT_TRUE(second.has_value());
  const std::uint64_t bar2 = std::uint64_t{2} << kRegionShift;
  EXPECT_TRUE(vmm.mmap(vmm.vfio, bar2, kPageSize).has_value());
  EXPECT_EQ(error_of(vmm.mmap(*second, bar2, kPageSize)), Errno::kNoDev);
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  EXPECT_EQ(used(), "yes");
  ASSERT_TRUE(vmm.close(*second).has_value());
  EXPECT_EQ(used(), "no");
  const auto again = vmm.get_device(vmm.group, kVfName);
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(vmm.mmap(*again, bar2, kPageSize).has_value()) << "the first one of its next life";
}

// --- Who excludes whom ---

TEST_F(GroupTest, OpenGroupKeepsTheNodeFromBeingBound) {
  const int group = *vmm.open(kVfGroup);
  ASSERT_TRUE(vmm.open_device(kVf0).has_value());
  EXPECT_EQ(error_of(vmm.bind_iommufd()), Errno::kBusy);
  ASSERT_TRUE(vmm.close(group).has_value());
  EXPECT_TRUE(vmm.bind_iommufd().has_value());
}

TEST_F(GroupTest, BoundNodeKeepsTheGroupFromBeingOpened) {
  ASSERT_TRUE(vmm.open_device(kVf0).has_value());
  EXPECT_TRUE(vmm.close(*vmm.open(kVfGroup)).has_value());  // opened, not bound
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  EXPECT_EQ(error_of(vmm.open(kVfGroup)), Errno::kBusy);
  EXPECT_TRUE(vmm.open(kPlainGroup).has_value());
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  EXPECT_TRUE(vmm.open(kVfGroup).has_value());
}

TEST_F(GroupTest, FailedBindLeavesTheGroupFree) {
  ASSERT_TRUE(vmm.open_device(kVf0).has_value());
  vmm.iommufd = *vmm.open("/dev/vfio/vfio");
  EXPECT_EQ(error_of(vmm.bind_iommufd()), Errno::kBadFd);
  EXPECT_TRUE(vmm.open(kVfGroup).has_value());
}

TEST_F(GroupTest, OpenGroupIsNoGroupAnyMoreWithoutFunctions) {
  ASSERT_TRUE(vmm.open_group().has_value());
  ASSERT_TRUE(vmm.echo("0000:01:00.1", "/sys/bus/pci/drivers/vfio-pci/unbind").has_value());
  abi::vfio_group_status status{.argsz = sizeof(status), .flags = 0};
  EXPECT_EQ(error_of(vmm.ioctl(vmm.group, VFIO_GROUP_GET_STATUS, status)), Errno::kNoDev);
  EXPECT_EQ(error_of(vmm.set_container(vmm.group, vmm.container)), Errno::kNoDev);
  EXPECT_EQ(error_of(vmm.get_device(vmm.group, kVfName)), Errno::kNoDev);
  // Bound anew, it is another group of the same number.
  ASSERT_TRUE(vmm.echo("0000:01:00.1", "/sys/bus/pci/drivers/vfio-pci/bind").has_value());
  EXPECT_EQ(error_of(vmm.get_device(vmm.group, kVfName)), Errno::kNoDev);
  EXPECT_TRUE(vmm.open(kVfGroup).has_value());
}

// --- Lifetimes ---

TEST_F(GroupTest, DeviceKeepsGroupAndContainer) {
  ASSERT_TRUE(vmm.open_in_group().has_value());
  const std::uint64_t va = vmm.memory().map(2 * kPageSize);
  ASSERT_TRUE(vmm.map(va, 0x10000, 2 * kPageSize).has_value());
  EXPECT_EQ(error_of(vmm.ioctl(vmm.group, VFIO_GROUP_UNSET_CONTAINER, std::uint64_t{0})),
            Errno::kBusy);
  ASSERT_TRUE(vmm.close(vmm.container).has_value());
  ASSERT_TRUE(vmm.close(vmm.group).has_value());
  EXPECT_EQ(error_of(vmm.open(kVfGroup)), Errno::kBusy);
  EXPECT_EQ(vmm.fill_by_dma(va, 0x10000, 0x11000), 0U);
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  EXPECT_TRUE(vmm.open(kVfGroup).has_value());
}

TEST_F(GroupTest, EveryOrderOfClosesEndsWithTheFunctionFree) {
  for (const auto order :
       {std::array{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}) {
    ASSERT_TRUE(vmm.open_in_group().has_value());
    const std::array<int, 3> files{vmm.container, vmm.group, vmm.vfio};
    for (const int which : order)
      ASSERT_TRUE(vmm.close(files.at(static_cast<std::size_t>(which))).has_value());
    EXPECT_EQ(used(), "no");
  }
}

// --- iommufd as the container ---

TEST_F(GroupTest, IommufdIsAContainer) {
  vmm.container = *vmm.open("/dev/iommu");
  vmm.group = *vmm.open(kVfGroup);
  ASSERT_TRUE(vmm.set_container(vmm.group, vmm.container).has_value());
  EXPECT_EQ(vmm.status(vmm.group), VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
  ASSERT_TRUE(vmm.ioctl(vmm.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU).has_value());
  const auto device = vmm.get_device(vmm.group, kVfName);
  ASSERT_TRUE(device.has_value());
  vmm.vfio = *device;
  const std::uint64_t va = vmm.memory().map(2 * kPageSize);
  ASSERT_TRUE(vmm.map(va, 0x10000, 2 * kPageSize).has_value());
  EXPECT_EQ(vmm.fill_by_dma(va, 0x10000, 0x11000), 0U);
  EXPECT_EQ(vmm.fill_by_dma(va, 0x10000, 0x20000), 7U);
  // The device does not keep this group open, nor its container set.
  EXPECT_TRUE(vmm.ioctl(vmm.group, VFIO_GROUP_UNSET_CONTAINER, std::uint64_t{0}).has_value());
  EXPECT_EQ(vmm.status(vmm.group), 0U);  // its DMA has an owner
  const int other = *vmm.open("/dev/vfio/vfio");
  EXPECT_EQ(error_of(vmm.set_container(vmm.group, other)), Errno::kPerm);
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  EXPECT_EQ(vmm.status(vmm.group), VFIO_GROUP_FLAGS_VIABLE);
}

TEST_F(GroupTest, IommufdOfTwoGroupsHasOneIoas) {
  const int iommufd = *vmm.open("/dev/iommu");
  abi::iommu_vfio_ioas ioas{
      .size = sizeof(ioas), .ioas_id = 0, .op = abi::IOMMU_VFIO_IOAS_GET, .__reserved = 0};
  EXPECT_EQ(error_of(vmm.ioctl(iommufd, IOMMU_VFIO_IOAS, ioas)), Errno::kNoDev);
  ASSERT_TRUE(vmm.set_container(*vmm.open(kVfGroup), iommufd).has_value());
  ASSERT_TRUE(vmm.set_container(*vmm.open(kPlainGroup), iommufd).has_value());
  ASSERT_TRUE(vmm.ioctl(iommufd, IOMMU_VFIO_IOAS, ioas).has_value());
  EXPECT_EQ(ioas.ioas_id, 1U);
}

TEST_F(GroupTest, IommufdWithoutItsIoasGivesNoDevice) {
  const int iommufd = *vmm.open("/dev/iommu");
  const int group = *vmm.open(kVfGroup);
  ASSERT_TRUE(vmm.set_container(group, iommufd).has_value());
  abi::iommu_vfio_ioas ioas{
      .size = sizeof(ioas), .ioas_id = 0, .op = abi::IOMMU_VFIO_IOAS_CLEAR, .__reserved = 0};
  ASSERT_TRUE(vmm.ioctl(iommufd, IOMMU_VFIO_IOAS, ioas).has_value());
  EXPECT_EQ(error_of(vmm.get_device(group, kVfName)), Errno::kNoDev);
  EXPECT_EQ(used(), "no");
}

struct IommufdContainer : GroupTest {
  IommufdContainer()
      : GroupTest(make_machine(machine::kDefaultMachine, "vfio_container = \"type1\"",
                               "vfio_container = \"iommufd\"")) {}
};

TEST_F(IommufdContainer, VfioNodeIsAnIommufd) {
  ASSERT_TRUE(vmm.open_in_group().has_value());
  const std::uint64_t va = vmm.memory().map(2 * kPageSize);
  ASSERT_TRUE(vmm.map(va, 0x10000, 2 * kPageSize).has_value());
  EXPECT_EQ(vmm.fill_by_dma(va, 0x10000, 0x11000), 0U);
  abi::iommu_option option{};
  option.size = sizeof(option);
  option.op = abi::IOMMU_OPTION_OP_GET;
  ASSERT_TRUE(vmm.ioctl(vmm.container, IOMMU_OPTION, option).has_value());
  EXPECT_EQ(option.val64, 1U);  // accounts by mm, as VFIO does
  EXPECT_FALSE(vmm.cat("/sys/module/vfio_iommu_type1/refcnt").has_value());
}

// --- KVM ---

TEST_F(GroupTest, KvmTakesGroupsAndTheDeviceTheVmOfItsGroup) {
  ASSERT_TRUE(vmm.make_vm(machine::test::kOrdinaryVm).has_value());
  ASSERT_TRUE(vmm.open_group().has_value());
  vmm.vfio = vmm.group;
  ASSERT_TRUE(vmm.associate().has_value());
  EXPECT_EQ(error_of(vmm.associate()), Errno::kExist);
  // KVM keeps the group open, the group the VM while a device is.
  ASSERT_TRUE(vmm.get_device(vmm.group, kVfName).has_value());
  ASSERT_TRUE(vmm.close(vmm.group).has_value());
  EXPECT_EQ(error_of(vmm.open(kVfGroup)), Errno::kBusy);
}

// --- Hot reset ---

struct GroupReset {
  std::uint32_t argsz = sizeof(GroupReset), flags = 0, count = 1;
  std::int32_t group = -1;
  std::int32_t more = -1;
};

struct LoneCardByGroup : GroupTest {
  LoneCardByGroup() : GroupTest(make_machine(machine::kDefaultMachine, "vfs = 2", "vfs = 0")) {}
};

TEST_F(LoneCardByGroup, HotResetTakesTheGroupsOfAllFunctions) {
  ASSERT_TRUE(vmm.open_group(kPfGroup).has_value());
  vmm.vfio = *vmm.get_device(vmm.group, "0000:01:00.0");
  GroupReset arg{};
  arg.count = 0;
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, arg)), Errno::kInval);
  arg.count = 2;
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, arg)), Errno::kInval);
  arg.count = 1;
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, arg)), Errno::kBadF);
  arg.group = vmm.container;
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, arg)), Errno::kInval);
  arg.group = *vmm.open("/dev/vfio/3");  // the plain card's
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, arg)), Errno::kInval);
  arg.group = vmm.group;
  ASSERT_TRUE(
      vmm.write<std::uint16_t>((std::uint64_t{kConfigRegion} << kRegionShift) + 4, 2).has_value());
  ASSERT_TRUE(vmm.write<std::uint32_t>(0x40, 7).has_value());
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, arg).has_value());
  EXPECT_EQ(vmm.read<std::uint32_t>(0x40), 0U);
}

// Nobody tells its ids, but the IOAS has the first and the device the second.
TEST_F(LoneCardByGroup, DeviceInAnIommufdCanBeBoundAndIsNotResetThen) {
  ASSERT_TRUE(machine::test::connect(vmm).has_value());
  ASSERT_TRUE(vmm.make_vm().has_value());
  vmm.container = *vmm.open("/dev/iommu");
  vmm.group = *vmm.open(kPfGroup);
  ASSERT_TRUE(vmm.set_container(vmm.group, vmm.container).has_value());
  vmm.vfio = vmm.group;
  ASSERT_TRUE(vmm.associate().has_value());
  vmm.vfio = *vmm.get_device(vmm.group, "0000:01:00.0");
  vmm.iommufd = vmm.container;
  vmm.dev_id = 2;
  ASSERT_TRUE(vmm.make_viommu().has_value());
  ASSERT_TRUE(vmm.make_vdevice().has_value());
  const auto bound = vmm.vfio_bind();
  ASSERT_TRUE(bound.has_value()) << bound.error().why;
  GroupReset arg{};
  arg.group = vmm.group;
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, arg)), Errno::kBusy);
  ASSERT_TRUE(vmm.vfio_unbind().has_value());
  EXPECT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, arg).has_value());
}

TEST_F(GroupTest, HotResetInfoOfAGroupsDeviceHasGroups) {
  ASSERT_TRUE(vmm.open_group(kPfGroup).has_value());
  vmm.vfio = *vmm.get_device(vmm.group, "0000:01:00.0");
  struct {
    std::uint32_t argsz = sizeof(*this), flags = 0xff, count = 0;
    abi::vfio_pci_dependent_device functions[3] = {};
  } info;
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info).has_value());
  EXPECT_EQ(info.flags, 0U);
  ASSERT_EQ(info.count, 3U);
  EXPECT_EQ(info.functions[0].group_id, 2U);
  EXPECT_EQ(info.functions[2].group_id, 4U);
}

// --- Several functions in a group ---

std::unique_ptr<Machine> machine_of(std::string text) {
  const auto config = machine::parse_config(text, "test");
  EXPECT_TRUE(config.has_value()) << (config ? "" : config.error());
  return std::move(*Machine::create(*config));
}

std::string default_machine_with(std::string_view from, std::string_view to) {
  std::string text(machine::builtin_machine(machine::kDefaultMachine));
  return text.replace(text.find(from), from.size(), to);
}

struct NoAcs : GroupTest {
  NoAcs() : GroupTest(machine_of(default_machine_with("acs = true ", "acs = false "))) {}
};
/// Two functions of one group, one of them with a driver of the host.
struct TwoDrivers : GroupTest {
  TwoDrivers()
      : GroupTest(machine_of(
            default_machine_with("window = 0x380010000000\nwindow_mib = 16",
                                 "window = 0x380010000000\nwindow_mib = 16\nacs = false") +
            "\n[[card]]\nmodel = \"plain\"\nbdf = \"0000:02:01.0\"\nwindow = 0x380010800000\n"
            "driver = \"native\"\n")) {}
};

TEST_F(NoAcs, FunctionsBelowThePortShareItsGroup) {
  EXPECT_EQ(error_of(vmm.open(kVfGroup)), Errno::kNoEnt);
  ASSERT_TRUE(vmm.open_group("/dev/vfio/0").has_value());
  EXPECT_TRUE(vmm.get_device(vmm.group, "0000:01:00.0").has_value());
  EXPECT_TRUE(vmm.get_device(vmm.group, "0000:01:00.2").has_value());
  ASSERT_TRUE(vmm.open_device(kVf0).has_value());
  EXPECT_EQ(error_of(vmm.bind_iommufd()), Errno::kBusy);
  EXPECT_EQ(error_of(vmm.ioctl(vmm.group, VFIO_GROUP_UNSET_CONTAINER, std::uint64_t{0})),
            Errno::kBusy);
}

/// Two plain cards of one group, both on vfio-pci.
struct TwoOfAGroup : GroupTest {
  TwoOfAGroup()
      : GroupTest(machine_of(
            default_machine_with("window = 0x380010000000\nwindow_mib = 16",
                                 "window = 0x380010000000\nwindow_mib = 16\nacs = false") +
            "\n[[card]]\nmodel = \"plain\"\nbdf = \"0000:02:01.0\"\nwindow = 0x380010800000\n")) {}
};

TEST_F(TwoOfAGroup, FunctionThatNobodyHasIsOwnedForItsGroupsSake) {
  ASSERT_TRUE(vmm.open_device(kPlainCard).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  struct {
    std::uint32_t argsz = sizeof(*this), flags = 0xff, count = 0;
    abi::vfio_pci_dependent_device functions[2] = {};
  } info;
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info).has_value());
  EXPECT_EQ(info.flags, 3U);
  ASSERT_EQ(info.count, 2U);
  EXPECT_EQ(info.functions[0].devid, vmm.dev_id);
  EXPECT_EQ(info.functions[1].devid, 0U);
  // Another iommufd cannot have the other one, whose DMA is the group's.
  GroupVmm other(*machine, 2);
  ASSERT_TRUE(other.open_device("/dev/vfio/devices/vfio4").has_value());
  EXPECT_EQ(error_of(other.bind_iommufd()), Errno::kPerm);
}

/// Two plain cards on one bus, of a group each.
struct TwoOnABus : GroupTest {
  TwoOnABus()
      : GroupTest(machine_of(std::string(machine::builtin_machine(machine::kDefaultMachine)) +
                             "\n[[card]]\nmodel = \"plain\"\nbdf = \"0000:02:01.0\"\n"
                             "window = 0x380010800000\n")) {}
};

// vfio_iommufd_get_dev_id(): what another iommufd has is not this one's.
TEST_F(TwoOnABus, FunctionOfAnotherIommufdKeepsTheBusFromBeingReset) {
  constexpr std::uint32_t kNotOwned = 0xffff'ffff;  // VFIO_PCI_DEVID_NOT_OWNED
  GroupVmm other(*machine, 2);
  const auto bind = [](GroupVmm& by, std::string_view path) {
    return by.open_device(path).has_value() && by.bind_iommufd().has_value();
  };
  ASSERT_TRUE(bind(vmm, kPlainCard) && bind(other, "/dev/vfio/devices/vfio4"));
  struct {
    std::uint32_t argsz = sizeof(*this), flags = 0xff, count = 0;
    abi::vfio_pci_dependent_device functions[2] = {};
  } info;
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info).has_value());
  EXPECT_EQ(info.flags, 1U);
  ASSERT_EQ(info.count, 2U);
  EXPECT_EQ(info.functions[0].devid, vmm.dev_id);
  EXPECT_EQ(info.functions[1].devid, kNotOwned);
  struct {
    std::uint32_t argsz = sizeof(*this), flags = 0, count = 0;
  } reset;
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, reset)), Errno::kInval);
}

TEST_F(TwoDrivers, GroupWithAHostsDriverIsNotViable) {
  const int group = *vmm.open("/dev/vfio/1");
  EXPECT_EQ(vmm.status(group), 0U);
  const int container = *vmm.open("/dev/vfio/vfio");
  EXPECT_EQ(error_of(vmm.set_container(group, container)), Errno::kPerm);
  ASSERT_TRUE(vmm.open_device(kPlainCard).has_value());
  EXPECT_EQ(error_of(vmm.bind_iommufd()), Errno::kBusy);  // the group is open
  ASSERT_TRUE(vmm.echo("0000:02:01.0", "/sys/bus/pci/drivers/native/unbind").has_value());
  EXPECT_EQ(vmm.status(group), VFIO_GROUP_FLAGS_VIABLE);
  ASSERT_TRUE(vmm.set_container(group, container).has_value());
  EXPECT_EQ(error_of(vmm.echo("0000:02:01.0", "/sys/bus/pci/drivers/native/bind")), Errno::kBusy);
}

}  // namespace
}  // namespace teeio::vfio
