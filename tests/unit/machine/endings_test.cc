// Every way in which a program can end while its device is bound and private
// MMIO is mapped leaves the machine as it was at boot.

#include <algorithm>
#include <array>

#include "unit/machine/make_machine.h"

namespace teeio::machine::test {
namespace {

enum class Fd : std::uint8_t { kVm, kIommufd, kVfio };
using Order = std::array<Fd, 3>;

std::vector<Order> all_orders() {
  std::vector<Order> orders;
  Order order{Fd::kVm, Fd::kIommufd, Fd::kVfio};
  do orders.push_back(order);
  while (std::next_permutation(order.begin(), order.end()));
  return orders;
}

std::string name_of(const Order& order) {
  std::string name;
  for (const Fd fd : order) name += fd == Fd::kVm ? "Vm" : fd == Fd::kIommufd ? "Iommufd" : "Vfio";
  return name;
}

void close_in(Vmm& vmm, const Order& order) {
  for (const Fd fd : order) {
    if (fd == Fd::kVm) vmm.close_vm_files();
    if (fd == Fd::kIommufd) (void)vmm.close(vmm.iommufd.exchange(-1));
    if (fd == Fd::kVfio) (void)vmm.close(vmm.vfio.exchange(-1));
  }
}

/// A VMM whose guest has private MMIO of the bound PF.
void prepare_all(Vmm& vmm) {
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.finalize().has_value());
  const auto bound = vmm.vfio_bind();
  ASSERT_TRUE(bound.has_value()) << bound.error().why;
  const auto mapped = vmm.map_private_mmio();
  ASSERT_TRUE(mapped.has_value()) << mapped.error().why;
}

bool vm_died(const Machine& machine) {
  const auto& events = const_cast<Machine&>(machine).trace().events();
  return std::any_of(events.begin(), events.end(), [](const object::Event& event) {
    return event.fact == object::Fact::kVmDead;
  });
}

class CloseOrder : public testing::TestWithParam<Order> {};

TEST_P(CloseOrder, LeavesTheMachineAsAtBoot) {
  const auto machine = make_machine();
  const auto at_boot = machine->census();
  {
    Vmm vmm(*machine);
    ASSERT_TRUE(connect(vmm).has_value());
    prepare_all(vmm);
    ASSERT_FALSE(HasFatalFailure());
    close_in(vmm, GetParam());
  }
  EXPECT_FALSE(vm_died(*machine));
  EXPECT_EQ(machine->census().at("TDI state of 0000:01:00.0"), "CONFIG_UNLOCKED");
  machine->shut_down();
  EXPECT_EQ(machine->census(), at_boot);
}

// Linux 7.3's order: VFIO's last close revokes and resets first, the firmware
// refuses the unmap, the VM dies; and yet everything is given back.
TEST_P(CloseOrder, GivesEverythingBackWithMainlinesOrderToo) {
  const auto machine =
      make_machine(kDefaultMachine, "close_order = \"unbind-first\"", "close_order = \"mainline\"");
  const auto at_boot = machine->census();
  {
    Vmm vmm(*machine);
    ASSERT_TRUE(connect(vmm).has_value());
    prepare_all(vmm);
    ASSERT_FALSE(HasFatalFailure());
    close_in(vmm, GetParam());
  }
  EXPECT_TRUE(vm_died(*machine));
  machine->shut_down();
  EXPECT_EQ(machine->census(), at_boot);
}

INSTANTIATE_TEST_SUITE_P(AllSix, CloseOrder, testing::ValuesIn(all_orders()),
                         [](const auto& order) { return name_of(order.param); });

TEST(Ending, OfTheProcessAtAnyStepLeavesTheMachineAsAtBoot) {
  const auto machine = make_machine();
  const auto at_boot = machine->census();
  using Step = Result<void> (*)(Vmm&);
  constexpr Step kSteps[] = {
      [](Vmm& v) { return v.make_vm(); },          [](Vmm& v) { return v.open_device(kPf); },
      [](Vmm& v) { return v.associate(); },        [](Vmm& v) { return v.bind_iommufd(); },
      [](Vmm& v) { return v.make_viommu(); },      [](Vmm& v) { return v.make_vdevice(); },
      [](Vmm& v) { return v.finalize(); },         [](Vmm& v) { return v.vfio_bind(); },
      [](Vmm& v) { return v.map_private_mmio(); }, [](Vmm& v) { return v.vfio_unbind(); },
  };
  for (std::size_t last = 0; last < std::size(kSteps); ++last) {
    {
      Vmm vmm(*machine, static_cast<std::int32_t>(last + 1));
      ASSERT_TRUE(connect(vmm).has_value());
      for (std::size_t i = 0; i <= last; ++i) {
        const auto done = kSteps[i](vmm);
        ASSERT_TRUE(done.has_value()) << i << ": " << done.error().why;
      }
    }
    machine->shut_down();
    EXPECT_EQ(machine->census(), at_boot) << "ended after step " << last;
  }
  EXPECT_FALSE(vm_died(*machine));
}

TEST(Ending, UnbindThenCloseWorksAgainAsASharedDevice) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(connect(vmm).has_value());
  prepare_all(vmm);
  ASSERT_FALSE(testing::Test::HasFatalFailure());
  std::uint32_t value = 0;
  const std::uint64_t bar2 = std::uint64_t{2} << vfio::kRegionShift;
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, bar2, writable_bytes_of(value))), Errno::kIo);
  ASSERT_TRUE(vmm.vfio_unbind().has_value());
  const std::uint32_t written = 0x12345678;
  EXPECT_TRUE(vmm.pwrite(vmm.vfio, bar2, bytes_of(written)).has_value());
  EXPECT_TRUE(vmm.pread(vmm.vfio, bar2, writable_bytes_of(value)).has_value());
  EXPECT_EQ(value, written);
}

void attach_pasids(Vmm& vmm) {
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  abi::iommu_ioas_alloc ioas{};
  ioas.size = sizeof(ioas);
  ASSERT_TRUE(vmm.ioctl(vmm.iommufd, IOMMU_IOAS_ALLOC, ioas).has_value());
  abi::iommu_hwpt_alloc hwpt{};
  hwpt.size = sizeof(hwpt);
  hwpt.flags = abi::IOMMU_HWPT_ALLOC_PASID;
  hwpt.dev_id = vmm.dev_id;
  hwpt.pt_id = ioas.out_ioas_id;
  ASSERT_TRUE(vmm.ioctl(vmm.iommufd, IOMMU_HWPT_ALLOC, hwpt).has_value());
  for (const std::uint32_t pasid : {63U, 64U, 640U}) {  // a table has 64
    abi::vfio_device_attach_iommufd_pt attach{};
    attach.argsz = sizeof(attach);
    attach.flags = VFIO_DEVICE_ATTACH_PASID;
    attach.pt_id = hwpt.out_hwpt_id;
    attach.pasid = pasid;
    ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_ATTACH_IOMMUFD_PT, attach).has_value());
  }
}

// As on Linux, a PASID's table stays until its function goes: the machine's, not the program's.
TEST(Ending, APasidsTableIsNothingThatTheProgramLeft) {
  const auto machine = make_machine(kDefaultMachine, "pasid_bits = 0", "pasid_bits = 20");
  const auto at_boot = machine->census();
  for (int life = 0; life < 2; ++life) {  // the next has the PASIDs for itself
    Vmm vmm(*machine);
    attach_pasids(vmm);
    ASSERT_FALSE(testing::Test::HasFatalFailure());
  }
  machine->shut_down();
  EXPECT_EQ(machine->census(), at_boot);
}

/// The PASID capability's control register, as sysfs shows it.
std::uint16_t pasid_control(Vmm& vmm) {
  constexpr std::uint16_t kFirst = 0x100, kPasid = 0x1b;
  const int config = *vmm.open("/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/config");
  std::uint16_t control = 0;
  for (std::uint32_t at = kFirst, header = 0; at != 0; at = header >> 20U) {
    if (!vmm.pread(config, at, writable_bytes_of(header))) break;
    if ((header & 0xffffU) != kPasid) continue;
    (void)vmm.pread(config, at + 6, writable_bytes_of(control));
    break;
  }
  EXPECT_TRUE(vmm.close(config).has_value());
  return control;
}

// pci_restore_pasid_state(): what the host has enabled is enabled over a reset.
TEST(Reset, LeavesPasidsEnabled) {
  const auto machine = make_machine(kDefaultMachine, "pasid_bits = 0", "pasid_bits = 20");
  Vmm vmm(*machine);
  attach_pasids(vmm);
  ASSERT_FALSE(testing::Test::HasFatalFailure());
  EXPECT_EQ(pasid_control(vmm) & 1, 1);
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}).has_value());
  EXPECT_EQ(pasid_control(vmm) & 1, 1);
}

// vm_ref = "vfio": the vIOMMU borrows the VM, and the idevice's end still comes
// before the VM's.
TEST(Ending, OfTheVmThatOnlyVfioHoldsComesAfterTheUnbind) {
  const auto machine = make_machine(kDefaultMachine, "vm_ref = \"viommu\"", "vm_ref = \"vfio\"");
  const auto at_boot = machine->census();
  {
    Vmm vmm(*machine);
    ASSERT_TRUE(connect(vmm).has_value());
    prepare_all(vmm);
    ASSERT_FALSE(testing::Test::HasFatalFailure());
    vmm.close_vm_files();
  }
  machine->shut_down();
  EXPECT_EQ(machine->census(), at_boot);
  std::uint64_t unbound = 0, destroyed = 0;
  for (const object::Event& event : machine->trace().events()) {
    if (event.fact == object::Fact::kUnbound) unbound = event.seq;
    if (event.fact == object::Fact::kVmDestroyed) destroyed = event.seq;
  }
  EXPECT_NE(unbound, 0U);
  EXPECT_LT(unbound, destroyed);
}

// Two VFs of one card in two VMs: a disconnect unbinds both, the last first.
TEST(Ending, DisconnectUnbindsEveryFunctionInReverse) {
  const auto machine = make_machine();
  const auto at_boot = machine->census();
  {
    Vmm first(*machine, 1), second(*machine, 2);
    ASSERT_TRUE(connect(first).has_value());
    ASSERT_TRUE(first.prepare(kVf0).has_value());
    ASSERT_TRUE(second.prepare(kVf1).has_value());
    ASSERT_TRUE(first.vfio_bind().has_value());
    ASSERT_TRUE(second.vfio_bind().has_value());
    ASSERT_TRUE(disconnect(first).has_value());
    std::vector<Bdf> unbound;
    for (const object::Event& event : machine->trace().events())
      if (event.fact == object::Fact::kUnbound) unbound.push_back(*event.function);
    ASSERT_EQ(unbound.size(), 2U);
    EXPECT_GT(unbound[0], unbound[1]);
    // Both VMMs' own unbind finds nothing to do.
    EXPECT_TRUE(first.vfio_unbind().has_value());
    EXPECT_TRUE(second.vfio_unbind().has_value());
  }
  EXPECT_EQ(machine->census(), at_boot);
}

}  // namespace
}  // namespace teeio::machine::test
