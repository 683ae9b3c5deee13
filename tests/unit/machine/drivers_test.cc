// Functions change drivers, leave the bus and come back.

#include <array>

#include "host/vfio/device.h"
#include "unit/machine/make_machine.h"

namespace teeio::machine {
namespace {

using test::error_of;
using test::kPf;
using test::kPlainCard;
using test::make_machine;
using test::Vmm;

constexpr std::string_view kDevice = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/";
constexpr std::string_view kDrivers = "/sys/bus/pci/drivers/";

std::string device(std::string_view name) { return std::string(kDevice) + std::string(name); }
std::string drivers(std::string_view name) { return std::string(kDrivers) + std::string(name); }
std::string driver_of(Machine& machine, const std::string& bdf) {
  return machine.census()["driver of " + bdf];
}

// pci_mmap_resource(), iomem_is_exclusive(), revoke_iomem().
TEST(SysfsMapping, OfABarOfMemoryLastsUntilItsDriverClaimsIt) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  const auto open = [&](std::string_view name) {
    const int fd = *vmm.open(device(name), 2);  // O_RDWR
    EXPECT_TRUE(vmm.make_mappable(fd).has_value());
    return fd;
  };
  const int memory = open("resource2");
  EXPECT_EQ(error_of(vmm.mmap(memory, kPageSize, 1U << 20U)), Errno::kInval);
  ASSERT_TRUE(vmm.mmap(memory, 0, kPageSize).has_value());
  const auto bytes = vmm.mapped(memory).touch(16);
  ASSERT_TRUE(bytes.has_value());
  (*bytes)[0] = std::byte{0x5a};
  EXPECT_EQ(error_of(vmm.mmap(open("resource0"), 0, kPageSize)), Errno::kInval);  // registers
  EXPECT_EQ(error_of(vmm.mmap(open("resource2_wc"), 0, kPageSize)), Errno::kBusy);

  ASSERT_TRUE(vmm.open_device("/dev/vfio/devices/vfio0").has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  EXPECT_FALSE(vmm.mapped(memory).touch(16).has_value());  // SIGBUS
  EXPECT_EQ(error_of(vmm.mmap(memory, 0, kPageSize)), Errno::kInval);
  std::array<std::byte, 1> seen{};
  ASSERT_TRUE(vmm.pread(vmm.vfio, (std::uint64_t{2} << vfio::kRegionShift) + 16, seen).has_value());
  EXPECT_EQ(seen[0], std::byte{0}) << "vfio_pci_core_enable() resets what it opens";
}

TEST(SysfsMapping, EndsWithItsFileAndWithItsFunction) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  for (int turn = 0; turn < 2; ++turn) {
    const int fd = *vmm.open(device("resource2"), 2);
    ASSERT_TRUE(vmm.make_mappable(fd).has_value());
    ASSERT_TRUE(vmm.mmap(fd, 0, kPageSize).has_value());
    if (turn == 0) {
      ASSERT_TRUE(vmm.close(fd).has_value());
      continue;
    }
    ASSERT_TRUE(vmm.echo("1", device("remove")).has_value());
    EXPECT_FALSE(vmm.mapped(fd).touch(0).has_value());
    EXPECT_EQ(error_of(vmm.mmap(fd, 0, kPageSize)), Errno::kNoDev);
  }
}

struct NativeMachine : testing::Test {
  std::unique_ptr<Machine> machine = make_machine(
      kDefaultMachine, "driver = \"vfio-pci\"       # or", "driver = \"native\"  # or");
  Vmm vmm{*machine};
};

TEST_F(NativeMachine, NativePfHasVfsOnVfioPciThatNeedNoToken) {
  EXPECT_EQ(driver_of(*machine, "0000:01:00.0"), "native");
  EXPECT_EQ(driver_of(*machine, "0000:01:00.1"), "vfio-pci");
  ASSERT_TRUE(vmm.open_device("/dev/vfio/devices/vfio0").has_value());
  EXPECT_TRUE(vmm.bind_iommufd().has_value());
}

TEST_F(NativeMachine, NativeDriverConfiguresVfsWhichThenHaveNoDriver) {
  ASSERT_TRUE(vmm.echo("0\n", device("sriov_numvfs")).has_value());
  ASSERT_TRUE(vmm.echo("1\n", device("sriov_numvfs")).has_value());
  EXPECT_EQ(driver_of(*machine, "0000:01:00.1"), "");
  ASSERT_TRUE(
      vmm.echo("vfio-pci", "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.1/driver_override")
          .has_value());
  ASSERT_TRUE(vmm.echo("0000:01:00.1\n", "/sys/bus/pci/drivers_probe").has_value());
  EXPECT_EQ(driver_of(*machine, "0000:01:00.1"), "vfio-pci");
}

// pci_tsm_init(): the usual order of an administrator.
TEST_F(NativeMachine, VfThatAppearsAfterConnectIsTheDsmsToo) {
  ASSERT_TRUE(vmm.echo("0\n", device("sriov_numvfs")).has_value());
  ASSERT_TRUE(test::connect(vmm).has_value());
  ASSERT_TRUE(vmm.echo("2\n", device("sriov_numvfs")).has_value());
  const std::string vf = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.1/";
  EXPECT_EQ(*vmm.cat(vf + "tsm/bound"), "\n");
  ASSERT_TRUE(vmm.echo("vfio-pci", vf + "driver_override").has_value());
  ASSERT_TRUE(vmm.echo("0000:01:00.1\n", "/sys/bus/pci/drivers_probe").has_value());
  const auto ready = vmm.prepare("/dev/vfio/devices/vfio0");
  ASSERT_TRUE(ready.has_value()) << ready.error().why;
  // pci_ide_stream_alloc() gave the stream the requester IDs that there were then.
  EXPECT_EQ(error_of(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND)), Errno::kIo);
  ASSERT_TRUE(test::disconnect(vmm).has_value());
  ASSERT_TRUE(test::connect(vmm).has_value());
  EXPECT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND).has_value());
}

// sriov_numvfs_store() goes to its exit: no VF arrives, and so none is probed.
TEST_F(NativeMachine, TheNumberThatThereIsProbesNobody) {
  const std::string vf = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.1/";
  ASSERT_TRUE(vmm.echo("0\n", device("sriov_numvfs")).has_value());
  ASSERT_TRUE(vmm.echo("2\n", device("sriov_numvfs")).has_value());
  ASSERT_TRUE(vmm.echo("vfio-pci", vf + "driver_override").has_value());
  ASSERT_TRUE(vmm.echo("2\n", device("sriov_numvfs")).has_value());
  EXPECT_EQ(driver_of(*machine, "0000:01:00.1"), "");
  ASSERT_TRUE(vmm.echo("0000:01:00.1\n", "/sys/bus/pci/drivers_probe").has_value());
  EXPECT_EQ(driver_of(*machine, "0000:01:00.1"), "vfio-pci");
}

// pci_reset_function(): pci_dev_save_and_disable(), pci_dev_restore().
TEST_F(NativeMachine, AResetKeepsTheCommandRegister) {
  constexpr std::uint16_t kMemoryAndMaster = 6;
  const int config = *vmm.open(device("config"), 2);  // O_RDWR
  ASSERT_TRUE(vmm.pwrite(config, 4, bytes_of(kMemoryAndMaster)).has_value());
  ASSERT_TRUE(vmm.echo("1\n", device("reset")).has_value());
  std::uint16_t command = 0;
  ASSERT_TRUE(vmm.pread(config, 4, writable_bytes_of(command)).has_value());
  EXPECT_EQ(command, kMemoryAndMaster);
}

TEST_F(NativeMachine, PfGoesToVfioPciAndBackAsDriverctlDoes) {
  ASSERT_TRUE(vmm.echo("vfio-pci", device("driver_override")).has_value());
  ASSERT_TRUE(vmm.echo("0000:01:00.0\n", drivers("native/unbind")).has_value());
  ASSERT_TRUE(vmm.echo("0000:01:00.0\n", "/sys/bus/pci/drivers_probe").has_value());
  EXPECT_EQ(driver_of(*machine, "0000:01:00.0"), "vfio-pci");
  ASSERT_TRUE(vmm.echo("\n", device("driver_override")).has_value());
  ASSERT_TRUE(vmm.echo("0000:01:00.0\n", drivers("vfio-pci/unbind")).has_value());
  ASSERT_TRUE(vmm.echo("0000:01:00.0\n", "/sys/bus/pci/drivers_probe").has_value());
  EXPECT_EQ(driver_of(*machine, "0000:01:00.0"), "native");
  EXPECT_TRUE(vmm.echo("2\n", device("sriov_numvfs")).has_value());
}

// kernfs_get_active(): a file that is open already has its node, which went.
TEST(Sriov, AnOpenNumberOfARemovedPfIsGone) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.echo("Y\n", "/sys/module/vfio_pci/parameters/enable_sriov").has_value());
  const int numvfs = *vmm.open(device("sriov_numvfs"));
  const auto write = [&] { return vmm.pwrite(numvfs, 0, std::as_bytes(std::span("0\n", 2))); };
  EXPECT_TRUE(write().has_value());
  ASSERT_TRUE(vmm.echo("1\n", device("remove")).has_value());
  EXPECT_EQ(error_of(write()), Errno::kNoDev);
}

TEST(Sriov, ABoundPfKeepsItsVfs) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(test::connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare("/dev/vfio/devices/vfio0").has_value());
  ASSERT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND).has_value());
  ASSERT_TRUE(vmm.echo("Y\n", "/sys/module/vfio_pci/parameters/enable_sriov").has_value());
  EXPECT_EQ(error_of(vmm.echo("0\n", device("sriov_numvfs"))), Errno::kBusy);
  EXPECT_EQ(*vmm.cat(device("sriov_numvfs")), "2\n");
  Vmm other(*machine);
  ASSERT_TRUE(other.open_device("/dev/vfio/devices/vfio1").has_value());
  EXPECT_TRUE(other.bind_iommufd().has_value());
}

TEST(Rescan, FindsWhatWasRemovedWithoutItsOverride) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(
      vmm.echo("1\n", "/sys/devices/pci0000:00/0000:00:02.0/0000:02:00.0/remove").has_value());
  EXPECT_EQ(error_of(vmm.cat("/sys/devices/pci0000:00/0000:00:02.0/0000:02:00.0/vendor")),
            Errno::kNoEnt);
  ASSERT_TRUE(vmm.echo("1\n", "/sys/bus/pci/rescan").has_value());
  EXPECT_EQ(*vmm.cat("/sys/devices/pci0000:00/0000:00:02.0/0000:02:00.0/driver_override"),
            "(null)\n");
  EXPECT_EQ(error_of(vmm.open_device(kPlainCard)), Errno::kNoEnt);
  ASSERT_TRUE(
      vmm.echo("vfio-pci", "/sys/devices/pci0000:00/0000:00:02.0/0000:02:00.0/driver_override")
          .has_value());
  ASSERT_TRUE(vmm.echo("0000:02:00.0\n", "/sys/bus/pci/drivers_probe").has_value());
  ASSERT_TRUE(vmm.open_device(kPlainCard).has_value());
  EXPECT_TRUE(vmm.bind_iommufd().has_value());
}

// dev_rescan_store(): pci_rescan_bus() of the bus that the function is on.
TEST(Rescan, OfAFunctionLooksAtItsOwnBus) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  const std::string plain = "/sys/devices/pci0000:00/0000:00:02.0/0000:02:00.0/";
  ASSERT_TRUE(vmm.echo("1\n", plain + "remove").has_value());
  ASSERT_TRUE(vmm.echo("1\n", device("rescan")).has_value());
  EXPECT_EQ(error_of(vmm.cat(plain + "vendor")), Errno::kNoEnt);
  ASSERT_TRUE(
      vmm.echo("1\n", "/sys/devices/pci0000:00/0000:00:02.0/pci_bus/0000:02/rescan").has_value());
  EXPECT_TRUE(vmm.cat(plain + "vendor").has_value());
}

// device_initial_probe() looks at the bus' drivers_autoprobe.
TEST(Rescan, LeavesWithoutDriverWhatTheBusDoesNotProbe) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  const std::string plain = "/sys/devices/pci0000:00/0000:00:02.0/0000:02:00.0/";
  ASSERT_TRUE(vmm.echo("1efe 0e00\n", "/sys/bus/pci/drivers/vfio-pci/new_id").has_value());
  ASSERT_TRUE(vmm.echo("0\n", "/sys/bus/pci/drivers_autoprobe").has_value());
  ASSERT_TRUE(vmm.echo("1\n", plain + "remove").has_value());
  ASSERT_TRUE(vmm.echo("1\n", "/sys/bus/pci/rescan").has_value());
  EXPECT_EQ(driver_of(*machine, "0000:02:00.0"), "");
  ASSERT_TRUE(vmm.echo("0000:02:00.0\n", "/sys/bus/pci/drivers_probe").has_value());
  EXPECT_EQ(driver_of(*machine, "0000:02:00.0"), "vfio-pci");
}

// pci_device_can_probe(): a VF whose PF says so goes to no driver but by driver_override.
TEST(Rescan, AVfThatIsNotProbedIsTakenByItsOverrideOnly) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  const std::string vf = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.1/driver_override";
  ASSERT_TRUE(vmm.echo("0000:01:00.1", "/sys/bus/pci/drivers/vfio-pci/unbind").has_value());
  ASSERT_TRUE(vmm.echo("\n", vf).has_value());
  ASSERT_TRUE(vmm.echo("off\n", device("sriov_drivers_autoprobe")).has_value());
  ASSERT_TRUE(vmm.echo("1efe 0d01\n", "/sys/bus/pci/drivers/vfio-pci/new_id").has_value());
  EXPECT_EQ(driver_of(*machine, "0000:01:00.1"), "");
  EXPECT_EQ(error_of(vmm.echo("0000:01:00.1", "/sys/bus/pci/drivers/vfio-pci/bind")),
            Errno::kNoDev);
  ASSERT_TRUE(vmm.echo("vfio-pci\n", vf).has_value());
  EXPECT_TRUE(vmm.echo("0000:01:00.1", "/sys/bus/pci/drivers/vfio-pci/bind").has_value());
}

TEST(Rescan, PfComesBackWithoutVfsAndConnects) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(test::connect(vmm).has_value());
  ASSERT_TRUE(vmm.echo("1\n", device("remove")).has_value());
  ASSERT_TRUE(vmm.echo("1\n", "/sys/devices/pci0000:00/0000:00:01.0/rescan").has_value());
  EXPECT_EQ(*vmm.cat(device("sriov_numvfs")), "0\n");
  EXPECT_EQ(driver_of(*machine, "0000:01:00.0"), "");
  EXPECT_TRUE(test::connect(vmm).has_value());
}

}  // namespace
}  // namespace teeio::machine
