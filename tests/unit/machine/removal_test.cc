// Functions whose driver goes while a program has them open: the program is asked to let go, and
// whoever takes the driver away waits (vfio_unregister_group_dev()).

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <semaphore>
#include <utility>

#include "host/vfio/device.h"
#include "hw/capabilities.h"
#include "hw/find_capability.h"
#include "schedule/task.h"
#include "unit/host/vfio/group_vmm.h"
#include "unit/host/vfio/set_irq.h"
#include "unit/machine/make_machine.h"

namespace teeio::machine::removal_test {
namespace {

using test::error_of;
using test::kPf;
using test::make_machine;
using test::Vmm;

constexpr std::string_view kVf0 = "/dev/vfio/devices/vfio1";
constexpr std::string_view kUnbind = "/sys/bus/pci/drivers/vfio-pci/unbind";
constexpr std::string_view kBind = "/sys/bus/pci/drivers/vfio-pci/bind";

std::string card(std::string_view name) {
  return "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/" + std::string(name);
}

/// A write by another process, which may wait.
class Writer {
 public:
  Writer(Machine& machine, std::string text, std::string path)
      : program_(machine, 99),
        task_(
            schedule::Task::spawn("writer", [this, text = std::move(text), path = std::move(path)] {
              answer_ = program_.echo(text, path);
              done_ = true;
            })) {}
  ~Writer() { wait(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  [[nodiscard]] bool done() const { return done_; }
  Result<std::size_t> join() {
    wait();
    return answer_;
  }

 private:
  void wait() {
    if (!std::exchange(joined_, true)) task_.join();
  }

  Program program_;
  Result<std::size_t> answer_{0};
  std::atomic<bool> done_ = false;
  bool joined_ = false;
  schedule::Task task_;
};

class RequestEvent {
 public:
  explicit RequestEvent(Vmm& vmm) {
    const int fd = *vmm.install(object::Ref<object::File>(event_));
    constexpr std::uint32_t kTrigger = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    EXPECT_TRUE(vfio::test::set_irq(vmm, kTrigger, abi::VFIO_PCI_REQ_IRQ_INDEX, fd).has_value());
  }
  [[nodiscard]] bool comes() { return signalled_.try_acquire_for(std::chrono::seconds(60)); }

 private:
  object::Ref<mm::PlainEventFd> event_ = object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd);
  std::counting_semaphore<> signalled_{0};
  std::unique_ptr<mm::EventWatch> watch_ =
      (*event_->eventfd())->watch([this] { signalled_.release(); });
};

/// Asks for the end of the VF's driver, and comes back when `vmm`, which has the VF open, was asked
/// to close it.
std::unique_ptr<Writer> begin_unbind(Machine& machine, Vmm& vmm) {
  RequestEvent request(vmm);
  auto unbind = std::make_unique<Writer>(machine, "0000:01:00.1", std::string(kUnbind));
  EXPECT_TRUE(request.comes());
  return unbind;
}

bool answers(Vmm& vmm) {
  abi::vfio_device_info info{};
  info.argsz = sizeof(info);
  return vmm.ioctl(vmm.vfio, VFIO_DEVICE_GET_INFO, info).has_value();
}

TEST(Removal, OfABoundFunctionAsksItsVmmAndWaitsForTheLastClose) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(test::connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND).has_value());
  RequestEvent request(vmm);
  Writer removal(*machine, "1\n", card("remove"));
  ASSERT_TRUE(request.comes());
  EXPECT_FALSE(removal.done());
  EXPECT_TRUE(answers(vmm));
  EXPECT_NE(machine->census()["bound TSM of 0000:01:00.0"], "");
  // driver_sysfs_remove() and vfio_device_del() come before the wait.
  Program shell(*machine, 5);
  EXPECT_EQ(error_of(shell.open(kPf)), Errno::kNoEnt);
  EXPECT_EQ(machine->census()["driver of 0000:01:00.0"], "");
  EXPECT_TRUE(shell.cat(card("vendor")).has_value());
  vmm.exit();
  EXPECT_TRUE(removal.join().has_value());
  EXPECT_EQ(error_of(shell.cat(card("vendor"))), Errno::kNoEnt);
}

// That it is bound is told before that somebody has its device_lock().
TEST(Removal, OfABoundFunctionKeepsItsBusFromReset) {
  const auto machine = make_machine(kDefaultMachine, "vfs = 2", "vfs = 0");
  Vmm vmm(*machine);
  ASSERT_TRUE(test::connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  RequestEvent request(vmm);
  Writer unbind(*machine, "0000:01:00.0", std::string(kUnbind));
  ASSERT_TRUE(request.comes());
  struct {
    std::uint32_t argsz, flags, count;
  } reset{sizeof(reset), 0, 0};
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, reset)), Errno::kAgain);
  ASSERT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND).has_value());
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, reset)), Errno::kBusy);
  vmm.exit();
  EXPECT_TRUE(unbind.join().has_value());
}

TEST(Removal, UnbindOfTheDriverWaitsLikewiseAndTheFunctionStays) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.open_device(kVf0).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  const auto unbind = begin_unbind(*machine, vmm);
  EXPECT_FALSE(unbind->done());
  // device_lock() is a function's own: others come and go meanwhile.
  Program shell(*machine, 5);
  EXPECT_TRUE(shell.echo("0000:02:00.0", kUnbind).has_value());
  EXPECT_TRUE(shell.echo("0000:02:00.0", kBind).has_value());
  Writer reset(*machine, "1\n", "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.1/reset");
  // drivers_probe_store() leaves a function with a driver alone.
  EXPECT_TRUE(shell.echo("0000:01:00.1", "/sys/bus/pci/drivers_probe").has_value());
  Writer second(*machine, "0000:01:00.1", std::string(kUnbind));
  Writer bind(*machine, "0000:01:00.1", std::string(kBind));
  EXPECT_FALSE(reset.done()) << "pci_dev_lock()";
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  EXPECT_TRUE(reset.join().has_value());
  EXPECT_TRUE(unbind->join().has_value());
  (void)second.join();
  EXPECT_TRUE(bind.join().has_value());
}

// vfio_pci_core_enable() fails with pci_try_reset_function(): device_lock() is taken.
TEST(Removal, AnOpenNodeThatIsNotBoundIsWaitedForAndCannotBeBoundMeanwhile) {
  const auto machine = make_machine();
  Vmm vmm(*machine), other(*machine);
  ASSERT_TRUE(vmm.open_device(kVf0).has_value());
  ASSERT_TRUE(other.open_device(kVf0).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  const auto unbind = begin_unbind(*machine, vmm);
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0})), Errno::kAgain);
  EXPECT_TRUE(answers(vmm));
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  EXPECT_EQ(error_of(other.bind_iommufd()), Errno::kAgain);
  EXPECT_FALSE(unbind->done());
  other.exit();
  EXPECT_TRUE(unbind->join().has_value());
}

// vfio_pci_ioctl_reset(): D0 before pci_try_reset_function() asks for device_lock().
TEST(Removal, AResetThatIsRefusedHasWokenTheFunction) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.open_device(kVf0).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  const auto unbind = begin_unbind(*machine, vmm);
  hw::PciFunction& function = static_cast<vfio::DeviceFile&>(**vmm.file(vmm.vfio)).device().pci();
  const auto power = hw::find_capability(function, hw::kCapabilityPowerManagement);
  const auto control = static_cast<std::uint16_t>(power.value_or(0) + hw::kPowerControl);
  const std::uint64_t config = std::uint64_t{vfio::kConfigRegion} << vfio::kRegionShift;
  constexpr std::uint16_t kD3hot = 3;
  ASSERT_TRUE(vmm.pwrite(vmm.vfio, config + control, bytes_of(kD3hot)).has_value());
  EXPECT_EQ(function.config_read(control, 2) & 3U, 3U);
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0})), Errno::kAgain);
  EXPECT_EQ(function.config_read(control, 2) & 3U, 0U);
  vmm.exit();
  EXPECT_TRUE(unbind->join().has_value());
}

// "[RFC PATCH 21/30] vfio/pci: Do TSM Unbind before zapping bars", 2025-05-29: before all else.
TEST(Removal, AResetThatIsRefusedHasUnboundTheFunction) {
  const auto machine =
      make_machine(kDefaultMachine, "while_bound = \"block\"", "while_bound = \"auto-unbind\"");
  Vmm vmm(*machine);
  ASSERT_TRUE(test::connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kVf0).has_value());
  ASSERT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND).has_value());
  const auto unbind = begin_unbind(*machine, vmm);
  EXPECT_NE(machine->census()["bound TSM of 0000:01:00.1"], "");
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0})), Errno::kAgain);
  EXPECT_EQ(machine->census()["bound TSM of 0000:01:00.1"], "");
  vmm.exit();
  EXPECT_TRUE(unbind->join().has_value());
}

/// How often the device was reset.
std::ptrdiff_t resets(Machine& machine) {
  return std::ranges::count(machine.trace().events(), object::Fact::kDeviceReset,
                            &object::Event::fact);
}

// vfio_pci_core_enable() and vfio_pci_core_disable(): each resets where device_lock() is free.
TEST(Removal, AnOpenAndALastCloseReset) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.open_device(kVf0).has_value());
  EXPECT_EQ(resets(*machine), 0);
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  EXPECT_EQ(resets(*machine), 1);
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  EXPECT_EQ(resets(*machine), 2);
}

// pci_dev_trylock() of vfio_pci_core_disable().
TEST(Removal, ALastCloseResetsNothingWhileTheDriverLeaves) {
  const auto machine = make_machine();
  Vmm vmm(*machine), next(*machine, 2);
  ASSERT_TRUE(vmm.open_device(kVf0).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  const auto unbind = begin_unbind(*machine, vmm);
  vmm.exit();
  EXPECT_TRUE(unbind->join().has_value());
  EXPECT_EQ(resets(*machine), 1);
  ASSERT_TRUE(next.echo("0000:01:00.1", kBind).has_value());
  ASSERT_TRUE(next.open_device(kVf0).has_value());
  ASSERT_TRUE(next.bind_iommufd().has_value());
  EXPECT_EQ(resets(*machine), 2);
}

// pci_save_state() of vfio_pci_core_enable(): after pci_clear_master(), with the PCIe capability.
TEST(Removal, AFunctionIsClosedAsItWasFound) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.open_device(kVf0).has_value());
  hw::PciFunction& function = static_cast<vfio::DeviceFile&>(**vmm.file(vmm.vfio)).device().pci();
  const auto express = hw::find_capability(function, hw::kCapabilityPcie);
  const auto control = static_cast<std::uint16_t>(express.value_or(0) + hw::kExpressDeviceControl);
  const std::uint32_t other = function.config_read(control, 2) ^ 0x2000;  // Max_Read_Request_Size
  function.config_write(control, 2, other);
  function.config_write(4, 2, 4);  // Bus Master Enable
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  EXPECT_EQ(function.config_read(4, 2) & 4U, 0U);
  EXPECT_EQ(function.config_read(control, 2), other);
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  EXPECT_EQ(function.config_read(4, 2) & 4U, 0U);
  EXPECT_EQ(function.config_read(control, 2), other);
}

TEST(Removal, VfsAreSwitchedOffWhenNoProgramHasOneOpen) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.echo("Y\n", "/sys/module/vfio_pci/parameters/enable_sriov").has_value());
  ASSERT_TRUE(vmm.open_device("/dev/vfio/devices/vfio2").has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  RequestEvent request(vmm);
  Writer off(*machine, "0\n", card("sriov_numvfs"));
  ASSERT_TRUE(request.comes());
  EXPECT_FALSE(off.done());
  EXPECT_EQ(*vmm.cat(card("sriov_numvfs")), "2\n");
  EXPECT_TRUE(answers(vmm));
  Vmm pf(*machine, 2);  // sriov_numvfs_store() has the PF's device_lock(), and a VF's own
  ASSERT_TRUE(pf.open_device(kPf).has_value());
  EXPECT_EQ(error_of(pf.bind_iommufd()), Errno::kAgain);
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0})), Errno::kAgain);
  vmm.exit();
  EXPECT_TRUE(off.join().has_value());
  EXPECT_EQ(*Program(*machine, 5).cat(card("sriov_numvfs")), "0\n");
}

// vfio_device_group_open(): one that fails leaves the group's container as it was.
TEST(Removal, AGroupsDeviceThatCannotBeOpenedMeanwhileUsesNoContainer) {
  const auto machine = make_machine();
  Vmm vf(*machine);
  vfio::test::GroupVmm pf(*machine, 2);
  ASSERT_TRUE(vf.echo("Y\n", "/sys/module/vfio_pci/parameters/enable_sriov").has_value());
  ASSERT_TRUE(vf.open_device("/dev/vfio/devices/vfio2").has_value());
  ASSERT_TRUE(vf.bind_iommufd().has_value());
  RequestEvent request(vf);
  Writer off(*machine, "0\n", card("sriov_numvfs"));
  ASSERT_TRUE(request.comes());
  ASSERT_TRUE(pf.open_group(vfio::test::kPfGroup).has_value());
  EXPECT_EQ(error_of(pf.get_device(pf.group, "0000:01:00.0")), Errno::kAgain);
  EXPECT_TRUE(pf.ioctl(pf.group, VFIO_GROUP_UNSET_CONTAINER, std::uint64_t{0}).has_value());
  ASSERT_TRUE(pf.close(pf.group).has_value());
  vf.exit();
  EXPECT_TRUE(off.join().has_value());
  pf.group = *pf.open(vfio::test::kPfGroup);  // and its next one, an iommufd, uses none
  ASSERT_TRUE(pf.set_container(pf.group, *pf.open("/dev/iommu")).has_value());
  const auto device = pf.get_device(pf.group, "0000:01:00.0");
  ASSERT_TRUE(device.has_value());
  EXPECT_TRUE(pf.close(*device).has_value());
}

// A program that binds the PF while its VFs are waited for keeps them: they are those that there
// were, and whoever looks finds them.
TEST(Removal, VfsThatArePutBackAreThoseThatThereWere) {
  const auto machine = make_machine();
  Vmm pf(*machine), vf(*machine, 2);
  Program shell(*machine, 5);
  ASSERT_TRUE(test::connect(pf).has_value());
  ASSERT_TRUE(pf.echo("Y\n", "/sys/module/vfio_pci/parameters/enable_sriov").has_value());
  const std::string port = "/sys/devices/pci0000:00/0000:00:01.0/";
  machine->remove_function({.bus = 1, .function = 1});
  ASSERT_TRUE(pf.prepare(kPf).has_value());
  ASSERT_TRUE(vf.open_device("/dev/vfio/devices/vfio2").has_value());
  ASSERT_TRUE(vf.bind_iommufd().has_value());
  RequestEvent request(vf);
  Writer off(*machine, "0\n", card("sriov_numvfs"));
  ASSERT_TRUE(request.comes());
  ASSERT_TRUE(pf.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND).has_value());
  EXPECT_FALSE(shell.cat(port + "0000:01:00.2/vfio-dev/vfio2/dev").has_value());
  vf.exit();
  EXPECT_EQ(error_of(off.join()), Errno::kBusy);
  EXPECT_EQ(error_of(shell.cat(port + "0000:01:00.1/vendor")), Errno::kNoEnt);
  EXPECT_TRUE(shell.cat(port + "0000:01:00.2/vendor").has_value());
  EXPECT_EQ(machine->census()["driver of 0000:01:00.2"], "vfio-pci");
  EXPECT_TRUE(shell.cat(port + "0000:01:00.2/vfio-dev/vfio1/dev").has_value())
      << "the lowest minor";
}

// vfio_pci_core_unregister_device(): until its VFs have gone a PF has its node.
TEST(Removal, APfIsOpenedWhileItsVfsAreWaitedFor) {
  const auto machine = make_machine();
  Vmm pf(*machine), vf(*machine, 2);
  ASSERT_TRUE(vf.open_device(kVf0).has_value());
  ASSERT_TRUE(vf.bind_iommufd().has_value());
  RequestEvent first(vf);
  Writer unbind(*machine, "0000:01:00.0", std::string(kUnbind));
  ASSERT_TRUE(first.comes());
  Program shell(*machine, 5);
  EXPECT_TRUE(shell.cat(card("vfio-dev/vfio0/dev")).has_value());
  EXPECT_FALSE(shell.cat("/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.1/vfio-dev/vfio1/dev")
                   .has_value());
  ASSERT_TRUE(pf.open_device(kPf).has_value());
  EXPECT_EQ(error_of(pf.bind_iommufd()), Errno::kAgain);
  vf.exit();
  while (shell.cat(card("vfio-dev/vfio0/dev")).has_value()) std::this_thread::yield();
  EXPECT_FALSE(unbind.done());
  pf.exit();
  EXPECT_TRUE(unbind.join().has_value());
}

// vfio_pci_core_unregister_device(): VFs first, and then the PF.
TEST(Removal, OfAPfAsksTheUsersOfItsVfsFirst) {
  const auto machine = make_machine();
  Vmm pf(*machine), vf(*machine);
  ASSERT_TRUE(pf.open_device(kPf).has_value());
  ASSERT_TRUE(pf.bind_iommufd().has_value());
  ASSERT_TRUE(vf.open_device(kVf0).has_value());
  ASSERT_TRUE(vf.bind_iommufd().has_value());
  RequestEvent first(vf), second(pf);
  Writer removal(*machine, "1\n", card("remove"));
  ASSERT_TRUE(first.comes());
  EXPECT_FALSE(removal.done());
  vf.exit();
  ASSERT_TRUE(second.comes());
  EXPECT_FALSE(removal.done());
  pf.exit();
  EXPECT_TRUE(removal.join().has_value());
}

TEST(Removal, AGroupsDeviceIsWaitedForToo) {
  const auto machine = make_machine();
  vfio::test::GroupVmm vmm(*machine);
  ASSERT_TRUE(vmm.open_in_group().has_value());
  const auto unbind = begin_unbind(*machine, vmm);
  EXPECT_FALSE(unbind->done());
  EXPECT_EQ(error_of(vmm.get_device(vmm.group, vfio::test::kVfName)), Errno::kNoDev);
  // Its list does not have it any more (vfio_device_group_unregister()): nobody reads on.
  EXPECT_EQ(error_of(vmm.get_device(vmm.group, std::string(vfio::test::kVfName) + " nonsense")),
            Errno::kNoDev);
  // The group's own node goes behind the last close (vfio_device_remove_group()).
  Program shell(*machine, 5);
  EXPECT_TRUE(shell.cat("/sys/devices/virtual/vfio/3/dev").has_value());
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  EXPECT_TRUE(unbind->join().has_value());
  EXPECT_EQ(error_of(shell.cat("/sys/devices/virtual/vfio/3/dev")), Errno::kNoEnt);
  abi::vfio_group_status status{.argsz = sizeof(status), .flags = 0};
  EXPECT_EQ(error_of(vmm.ioctl(vmm.group, VFIO_GROUP_GET_STATUS, status)), Errno::kNoDev);
}

}  // namespace
}  // namespace teeio::machine::removal_test
