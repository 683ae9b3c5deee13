// What VFIO's calls leave in the function's own registers, not only in the program's copy.

#include <array>
#include <vector>

#include "host/vfio/device.h"
#include "unit/machine/make_machine.h"

namespace teeio::vfio {
namespace {

using machine::test::error_of;
using machine::test::kPf;
using machine::test::make_machine;
using machine::test::Vmm;

constexpr std::uint64_t kConfigOfAll = std::uint64_t{kConfigRegion} << kRegionShift;
constexpr std::uint16_t kOnForAll = 6;  // memory and bus mastering

struct OneOrTwoVectors {
  std::uint32_t argsz, flags, index, start, count;
  std::int32_t data[2];
};
constexpr std::uint32_t kNoData = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
constexpr std::uint32_t kEventfds = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;

struct RegistersTest : testing::Test {
  void SetUp() override {
    ASSERT_TRUE(vmm.open_device(kPf).has_value());
    ASSERT_TRUE(vmm.bind_iommufd().has_value());
    ASSERT_TRUE(vmm.pwrite(vmm.vfio, kConfigOfAll + 4, bytes_of(kOnForAll)).has_value());
  }
  hw::PciFunction& pci() { return static_cast<DeviceFile&>(**vmm.file(vmm.vfio)).device().pci(); }
  std::vector<std::uint32_t> header() {
    std::vector<std::uint32_t> words;
    for (std::uint16_t at = 0; at < 0x40; at += 4) words.push_back(pci().config_read(at, 4));
    return words;
  }
  Result<std::int64_t> irqs(OneOrTwoVectors set) {
    return vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, set);
  }
  int eventfd(const object::Ref<mm::PlainEventFd>& event) {
    return *vmm.install(object::Ref<object::File>(event));
  }
  static object::Ref<mm::PlainEventFd> make_event() {
    return object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd);
  }
  std::unique_ptr<machine::Machine> machine = make_machine();
  Vmm vmm{*machine};
};

TEST_F(RegistersTest, HeaderIsAfterAResetWhatItWas) {
  const auto before = header();
  EXPECT_NE(before[4] & ~0xfU, 0U) << "BAR0 has an address";
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}).has_value());
  EXPECT_EQ(header(), before);
}

TEST_F(RegistersTest, HeaderIsAfterTheLastCloseWhatItWasAtBoot) {
  hw::PciFunction& function = pci();
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  const auto at_boot = header();
  EXPECT_EQ(function.config_read(4, 2) & 4U, 0U) << "no bus mastering";
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  ASSERT_TRUE(vmm.pwrite(vmm.vfio, kConfigOfAll + 4, bytes_of(kOnForAll)).has_value());
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  EXPECT_EQ(header(), at_boot);
}

TEST_F(RegistersTest, MsixTableKeepsTheHostsMessages) {
  const std::uint16_t msix = [&] {
    auto at = static_cast<std::uint16_t>(pci().config_read(0x34, 1));
    while (at != 0 && pci().config_read(at, 1) != 0x11)
      at = static_cast<std::uint16_t>(pci().config_read(static_cast<std::uint16_t>(at + 1), 1));
    return at;
  }();
  ASSERT_NE(msix, 0);
  const std::uint32_t place = pci().config_read(static_cast<std::uint16_t>(msix + 4), 4);
  const auto event = make_event();
  ASSERT_TRUE(irqs({sizeof(OneOrTwoVectors), kEventfds, 2, 0, 1, {eventfd(event), 0}}).has_value());
  const auto entry = [&] {
    std::array<std::uint32_t, 4> words{};
    pci().bars()[place & 7U].target->mmio_read(place & ~7U,
                                               std::as_writable_bytes(std::span(words)));
    return words;
  };
  const auto before = entry();
  const std::uint64_t at = (std::uint64_t{place & 7U} << kRegionShift) + (place & ~7U);
  const std::array<std::uint32_t, 4> wanted{0x11111111, 0x22222222, 0x33333333, 1};
  ASSERT_TRUE(vmm.pwrite(vmm.vfio, at, std::as_bytes(std::span(wanted))).has_value());
  EXPECT_EQ(entry(), before);
}

TEST_F(RegistersTest, TriggerReachesTheVectorsThatItNames) {
  const auto first = make_event(), second = make_event();
  ASSERT_TRUE(irqs({sizeof(OneOrTwoVectors), kEventfds, 2, 0, 2, {eventfd(first), eventfd(second)}})
                  .has_value());
  ASSERT_TRUE(irqs({20, kNoData, 2, 0, 1, {}}).has_value());
  EXPECT_EQ(first->take(), 1U);
  EXPECT_EQ(second->take(), 0U);
  ASSERT_TRUE(irqs({20, kNoData, 2, 1, 1, {}}).has_value());
  EXPECT_EQ(first->take(), 0U);
  EXPECT_EQ(second->take(), 1U);
}

TEST_F(RegistersTest, ErrorAndRequestEventsAreSignalledWhenAskedAndNotOnceTakenBack) {
  for (const std::uint32_t index : {3U, 4U}) {  // VFIO_PCI_ERR_IRQ_INDEX, _REQ_
    const auto event = make_event();
    ASSERT_TRUE(irqs({24, kEventfds, index, 0, 1, {eventfd(event), 0}}).has_value());
    ASSERT_TRUE(irqs({20, kNoData, index, 0, 1, {}}).has_value());
    EXPECT_EQ(event->take(), 1U) << index;
    EXPECT_EQ(error_of(irqs({20, kNoData, index, 1, 1, {}})), Errno::kInval) << "one only";
    ASSERT_TRUE(irqs({20, kNoData, index, 0, 0, {}}).has_value());
    EXPECT_EQ(error_of(irqs({20, kNoData, index, 0, 1, {}})), Errno::kInval) << "no eventfd";
    EXPECT_EQ(event->take(), 0U) << index;
  }
}

}  // namespace
}  // namespace teeio::vfio
