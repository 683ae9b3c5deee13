// Machines with several IOMMUs, and what a platform's IOMMU shows to programs.

#include <algorithm>

#include "abi/iommufd.h"
#include "machine/vendors.h"
#include "unit/machine/make_machine.h"

namespace teeio::machine::test {
namespace {

constexpr std::string_view kFirstCard = "0000:01:00.0";
constexpr std::string_view kSecondCard = "0000:02:00.0";

/// The default machine with its second root port behind a second IOMMU.
std::unique_ptr<Machine> two_iommus() {
  std::string text(builtin_machine(kDefaultMachine));
  text.replace(text.find("iommus = 1"), 10, "iommus = 2");
  text.replace(text.rfind("iommu = 0"), 9, "iommu = 1");
  const auto config = parse_config(text, "two-iommus");
  EXPECT_TRUE(config.has_value());
  auto machine = Machine::create(*config);
  EXPECT_TRUE(machine.has_value());
  return std::move(*machine);
}

/// Whether /sys has this node, links included.
bool shows(Machine& machine, const std::string& path) {
  const auto nodes = machine.system_calls().tree();
  return std::ranges::any_of(nodes, [&](const auto& node) { return node.path == path; });
}

/// The type and the length that IOMMU_GET_HW_INFO answers.
std::pair<std::uint32_t, std::uint32_t> hw_info(Vmm& vmm) {
  abi::iommu_hw_info arg{};
  arg.size = sizeof(arg);
  arg.dev_id = vmm.dev_id;
  EXPECT_TRUE(vmm.ioctl(vmm.iommufd, IOMMU_GET_HW_INFO, arg).has_value());
  return {arg.out_data_type, arg.data_len};
}

TEST(Iommus, EachPortAndCardIsBehindItsOwn) {
  const auto machine = two_iommus();
  const auto there = [&](std::string_view iommu, std::string_view device) {
    return shows(*machine, std::string("/sys/devices/virtual/iommu/") + std::string(iommu) +
                               "/devices/" + std::string(device));
  };
  for (const std::string_view device : {std::string_view("0000:00:01.0"), kFirstCard}) {
    EXPECT_TRUE(there("dmar0", device)) << device;
    EXPECT_FALSE(there("dmar1", device)) << device;
  }
  for (const std::string_view device : {std::string_view("0000:00:02.0"), kSecondCard}) {
    EXPECT_TRUE(there("dmar1", device)) << device;
    EXPECT_FALSE(there("dmar0", device)) << device;
  }
  for (const std::string iommu : {"dmar0", "dmar1"}) {
    EXPECT_TRUE(shows(*machine, "/sys/class/iommu/" + iommu));
    EXPECT_TRUE(shows(*machine, "/sys/devices/virtual/iommu/" + iommu + "/intel-iommu/cap"));
  }
  EXPECT_NE(machine->show().find("driver=pcieport group=1 iommu=dmar1"), std::string::npos)
      << machine->show();
}

TEST(Iommus, AVdeviceStaysBehindItsVmsIommu) {
  const auto machine = two_iommus();
  Vmm first(*machine), second(*machine, 2);
  {
    Program admin(*machine, 3);
    ASSERT_TRUE(connect(admin).has_value());
  }
  ASSERT_TRUE(first.prepare(kPf).has_value());
  EXPECT_TRUE(first.vfio_bind().has_value());
  // The plain card, behind the other IOMMU, in the first program's iommufd.
  second.iommufd = *second.install(*first.file(first.iommufd));
  ASSERT_TRUE(second.open_device(kPlainCard).has_value());
  ASSERT_TRUE(second.bind_iommufd().has_value());
  second.viommu_id = first.viommu_id;
  EXPECT_EQ(error_of(second.make_vdevice()), Errno::kInval);
  second.exit();
  first.exit();
  machine->shut_down();
}

TEST(Iommus, AnIntelMachineTellsVtdsRegisters) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  EXPECT_EQ(hw_info(vmm), (std::pair<std::uint32_t, std::uint32_t>(
                              abi::IOMMU_HW_INFO_TYPE_INTEL_VTD, sizeof(abi::iommu_hw_info_vtd))));
}

TEST(Iommus, AnArmMachineClaimsNoIommuThatItHasNot) {
  const auto machine = make_machine("arm-cca-slice");
  Vmm vmm(*machine);
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  EXPECT_EQ(hw_info(vmm),
            (std::pair<std::uint32_t, std::uint32_t>(abi::IOMMU_HW_INFO_TYPE_NONE, 0)));
  EXPECT_FALSE(shows(*machine, "/sys/devices/virtual/iommu/iommu0/intel-iommu"));
  EXPECT_EQ(machine->show().find("dmar"), std::string::npos) << machine->show();
  EXPECT_TRUE(shows(*machine, "/sys/devices/virtual/iommu/iommu0/devices/0000:01:00.0"));
  EXPECT_TRUE(shows(*machine, "/sys/devices/platform/arm-rmi-dev/tsm/tsm0"));
  EXPECT_FALSE(shows(*machine, "/sys/devices/faux/tdx_host"));
}

}  // namespace
}  // namespace teeio::machine::test
