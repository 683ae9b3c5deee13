// A reset of the whole bus, by device ids.

#include "unit/machine/make_machine.h"

namespace teeio::vfio {
namespace {

using machine::Machine;
using machine::test::connect;
using machine::test::error_of;
using machine::test::kPf;
using machine::test::kPlainCard;
using machine::test::kVf0;
using machine::test::make_machine;
using machine::test::Vmm;

struct Info {
  std::uint32_t argsz = sizeof(Info), flags = 0xff, count = 0;
  abi::vfio_pci_dependent_device functions[3] = {};
};
struct Reset {
  std::uint32_t argsz = sizeof(Reset), flags = 0, count = 0;
};
constexpr std::uint32_t kNotOwned = 0xffff'ffff;

struct HotReset : testing::Test {
  explicit HotReset(std::string_view from = {}, std::string_view to = {})
      : machine(make_machine(machine::kDefaultMachine, from, to)) {}
  void open(std::string_view path) {
    ASSERT_TRUE(vmm.open_device(path).has_value());
    ASSERT_TRUE(vmm.bind_iommufd().has_value());
  }
  Result<std::int64_t> reset() {
    Reset arg;
    return vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, arg);
  }
  template <class T>
  T read(std::uint64_t at) {
    T value{};
    EXPECT_TRUE(vmm.pread(vmm.vfio, at, writable_bytes_of(value)).has_value());
    return value;
  }
  std::unique_ptr<Machine> machine;
  Vmm vmm{*machine};
};
struct LoneCard : HotReset {
  LoneCard() : HotReset("vfs = 2", "vfs = 0") {}
};

TEST_F(HotReset, InfoNeedsRoomForEveryFunction) {
  open(kPf);
  Info info;
  info.argsz = 12 + 2 * 8;
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info)), Errno::kNoSpc);
  EXPECT_EQ(info.count, 3U);
  EXPECT_EQ(info.flags, 0U);
  info.argsz = 11;
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info)), Errno::kInval);
}

TEST_F(HotReset, VfsAreInNobodysSetButTheirOwnSoTheirBusIsNotReset) {
  open(kPf);
  Info info;
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info).has_value());
  EXPECT_EQ(info.flags, 1U);
  ASSERT_EQ(info.count, 3U);
  EXPECT_EQ(info.functions[0].devid, vmm.dev_id);
  EXPECT_EQ(info.functions[1].devid, kNotOwned);
  EXPECT_EQ(info.functions[2].bus, 1);
  EXPECT_EQ(info.functions[2].devfn, 2);
  EXPECT_EQ(error_of(reset()), Errno::kInval);
  open(kVf0);
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info).has_value());
  EXPECT_EQ(info.functions[0].devid, kNotOwned);
  EXPECT_EQ(info.functions[1].devid, vmm.dev_id);
  EXPECT_EQ(error_of(reset()), Errno::kInval);
}

TEST_F(HotReset, OwnerOfTheWholeBusResetsItAndKeepsItsConfiguration) {
  open(kPlainCard);
  Info info;
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info).has_value());
  EXPECT_EQ(info.flags, 3U);
  EXPECT_EQ(info.count, 1U);
  const std::uint16_t command = 6;
  ASSERT_TRUE(vmm.pwrite(vmm.vfio, 7ULL << 40U | 4U, bytes_of(command)).has_value());
  ASSERT_TRUE(reset().has_value());
  EXPECT_EQ(read<std::uint16_t>(7ULL << 40U | 4U) & 6U, 6U);
}

TEST_F(HotReset, GroupsAndFlagsAreRefused) {
  open(kPlainCard);
  Reset groups{.count = 1};
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, groups)), Errno::kInval);
  Reset flags{.flags = 1};
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, flags)), Errno::kInval);
}

TEST_F(LoneCard, BoundFunctionKeepsItsBusFromReset) {
  ASSERT_TRUE(connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.vfio_bind().has_value());
  EXPECT_EQ(error_of(reset()), Errno::kBusy);
  EXPECT_EQ(machine->census().at("TDI state of 0000:01:00.0"), "CONFIG_LOCKED");
  ASSERT_TRUE(vmm.vfio_unbind().has_value());
  EXPECT_TRUE(reset().has_value());
}

/// PCIe 6.33: a hot reset ends the card's session, and nobody tells the TSM.
TEST_F(LoneCard, ConnectionIsLostWithAHotResetAndIsMadeAnew) {
  ASSERT_TRUE(connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(reset().has_value());
  EXPECT_FALSE(vmm.vfio_bind().has_value());
  ASSERT_TRUE(machine::test::disconnect(vmm).has_value());
  ASSERT_TRUE(connect(vmm).has_value());
  EXPECT_TRUE(vmm.vfio_bind().has_value());
}

}  // namespace
}  // namespace teeio::vfio
