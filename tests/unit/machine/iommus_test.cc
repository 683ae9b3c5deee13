// Machines with several IOMMUs, and what a platform's IOMMU shows to programs.

#include <fmt/format.h>

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

/// Two cards with TEE-I/O, each behind an IOMMU of its own, on TDX's API `api`.
std::unique_ptr<Machine> two_cards(std::string_view api) {
  std::string text = fmt::format(
      "name = \"two\"\ntsm = \"tdx\"\niommus = 2\nmemory_mib = 1024\nhkids = 8\ntdx_api = \"{}\"\n",
      api);
  for (unsigned i = 0; i < 2; ++i) {
    const std::string window = fmt::format("{:#x}", 0x3800'0000'0000U + 0x400'0000U * i);
    text += fmt::format(
        "[[root_port]]\nbdf = \"0000:00:0{0}.0\"\nbus = {0}\nwindow = {1}\nwindow_mib = 64\n"
        "ide_streams = 4\ntee_io = true\niommu = {2}\n"
        "[[card]]\nmodel = \"dma-engine\"\nbdf = \"0000:0{0}:00.0\"\nwindow = {1}\n"
        "ide_streams = 2\nserial = {0}\nspdm = \"plain\"\n",
        i + 1, window, i);
  }
  const auto config = parse_config(text, "two");
  EXPECT_TRUE(config.has_value()) << config.error();
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

// Streams are named by host bridge, which both share; names and numbers come back.
TEST(Iommus, CardsBehindSeveralConnectAsOftenAsOneLikes) {
  for (const std::string_view api : {"g2", "g3"}) {
    SCOPED_TRACE(api);
    const auto machine = two_cards(api);
    Program admin(*machine);
    const auto write = [&](std::string_view card, std::string_view attribute) {
      return admin.echo("tsm0\n", fmt::format("/sys/devices/pci0000:00/0000:00:0{}.0/{}/tsm/{}",
                                              card[6], card, attribute));
    };
    for (const std::string_view card : {kFirstCard, kSecondCard})
      ASSERT_TRUE(write(card, "connect").has_value()) << card;
    for (int round = 0; round < 130; ++round)
      for (const std::string_view card : {kFirstCard, kSecondCard}) {
        ASSERT_TRUE(write(card, "disconnect").has_value()) << round;
        ASSERT_TRUE(write(card, "connect").has_value()) << round;
      }
    admin.exit();
    machine->shut_down();
  }
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
