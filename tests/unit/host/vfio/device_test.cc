// A VFIO device that is bound is the guest's; one that is not works as in Linux.
// Driven through system calls of the default machine.

#include <array>
#include <cstring>

#include "unit/machine/make_machine.h"

namespace teeio::vfio {
namespace {

using machine::Machine;
using machine::test::connect;
using machine::test::error_of;
using machine::test::kMmioGpa;
using machine::test::kPf;
using machine::test::kVf0;
using machine::test::make_machine;
using machine::test::Vmm;

constexpr std::uint64_t region(std::uint64_t index) { return index << kRegionShift; }
constexpr std::uint64_t kConfig = region(kConfigRegion);
constexpr std::uint64_t kBar2 = region(2);
constexpr std::uint16_t kCommandOn = 0x6;  // memory and bus mastering

struct DeviceTest : testing::Test {
  explicit DeviceTest(std::unique_ptr<Machine> made = make_machine()) : machine(std::move(made)) {}
  void open(std::string_view path = kPf) {
    ASSERT_TRUE(vmm.open_device(path).has_value());
    ASSERT_TRUE(vmm.bind_iommufd().has_value());
  }
  /// Up to a bound TDI; the command register is on.
  void bind() {
    ASSERT_TRUE(connect(vmm).has_value());
    ASSERT_TRUE(vmm.prepare(kPf).has_value());
    ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, kCommandOn).has_value());
    ASSERT_TRUE(vmm.vfio_bind().has_value());
  }
  template <class T>
  Result<void> write(std::uint64_t at, T value) {
    TEEIO_TRY(vmm.pwrite(vmm.vfio, at, bytes_of(value)));
    return {};
  }
  template <class T>
  T read(std::uint64_t at) {
    T value{};
    const auto done = vmm.pread(vmm.vfio, at, writable_bytes_of(value));
    EXPECT_TRUE(done.has_value());
    return value;
  }
  /// A control register of a capability: its offset in config space.
  std::uint16_t capability(std::uint8_t id) {
    std::uint8_t at = read<std::uint8_t>(kConfig + 0x34);
    while (at != 0 && read<std::uint8_t>(kConfig + at) != id)
      at = read<std::uint8_t>(kConfig + at + 1U);
    EXPECT_NE(at, 0) << "no capability " << int{id};
    return at;
  }
  [[nodiscard]] std::string tdi() { return machine->census().at("TDI state of 0000:01:00.0"); }
  [[nodiscard]] std::string bound() { return machine->census().at("bound TSM of 0000:01:00.0"); }

  std::unique_ptr<Machine> machine;
  Vmm vmm{*machine};
};

struct AutoUnbind : DeviceTest {
  AutoUnbind()
      : DeviceTest(make_machine(machine::kDefaultMachine, "while_bound = \"block\"",
                                "while_bound = \"auto-unbind\"")) {}
};

// --- A bound device ---

TEST_F(DeviceTest, BoundDeviceRefusesMappingAndAccessOfItsBars) {
  bind();
  ASSERT_FALSE(HasFatalFailure());
  std::uint32_t value = 0;
  EXPECT_EQ(error_of(vmm.mmap(vmm.vfio, kBar2, kPageSize)), Errno::kBusy);
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, kBar2, writable_bytes_of(value))), Errno::kIo);
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, 0, writable_bytes_of(value))), Errno::kIo);
  EXPECT_EQ(error_of(write(kBar2, value)), Errno::kIo);
  EXPECT_EQ(tdi(), "CONFIG_LOCKED");
}

TEST_F(DeviceTest, MappingOfABoundDeviceIsSigbusAndComesBackScrubbed) {
  ASSERT_TRUE(connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, kCommandOn).has_value());
  ASSERT_TRUE(vmm.mmap(vmm.vfio, kBar2, 2 * kPageSize).has_value());
  auto window = vmm.mapped(vmm.vfio).touch(kBar2 + 8);
  ASSERT_TRUE(window.has_value());
  (*window)[0] = std::byte{0x5a};
  EXPECT_EQ(read<std::uint8_t>(kBar2 + 8), 0x5a);

  ASSERT_TRUE(vmm.vfio_bind().has_value());
  EXPECT_FALSE(vmm.mapped(vmm.vfio).touch(kBar2 + 8).has_value());
  ASSERT_TRUE(vmm.vfio_unbind().has_value());
  window = vmm.mapped(vmm.vfio).touch(kBar2 + 8);
  ASSERT_TRUE(window.has_value());
  EXPECT_EQ((*window)[0], std::byte{0});  // STOP_INTERFACE leaves nothing of the TDI
}

TEST_F(DeviceTest, BoundDeviceRefusesEveryReset) {
  bind();
  ASSERT_FALSE(HasFatalFailure());
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0})), Errno::kBusy);
  const auto control = kConfig + capability(0x10) + 8;
  EXPECT_EQ(error_of(write<std::uint16_t>(control, 0x8000)), Errno::kBusy);
  EXPECT_EQ(error_of(write<std::uint8_t>(control + 1, 0x80)), Errno::kBusy);
  EXPECT_EQ(error_of(write<std::uint16_t>(kConfig + capability(0x01) + 4U, 3)), Errno::kBusy);
  EXPECT_EQ(tdi(), "CONFIG_LOCKED");
}

TEST_F(DeviceTest, BoundDeviceKeepsMemoryAndBusMasteringOn) {
  bind();
  ASSERT_FALSE(HasFatalFailure());
  for (const std::uint16_t lost : std::array<std::uint16_t, 3>{0, 2, 4})
    EXPECT_EQ(error_of(write(kConfig + 4, lost)), Errno::kBusy) << lost;
  EXPECT_EQ(error_of(write<std::uint8_t>(kConfig + 4, 0)), Errno::kBusy);
  EXPECT_EQ(error_of(write<std::uint32_t>(kConfig + 4, 0)), Errno::kBusy);
  EXPECT_EQ(read<std::uint16_t>(kConfig + 4) & kCommandOn, kCommandOn);
  EXPECT_EQ(tdi(), "CONFIG_LOCKED");
}

TEST_F(AutoUnbind, ResetUnbindsFirst) {
  bind();
  ASSERT_FALSE(HasFatalFailure());
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}).has_value());
  EXPECT_EQ(bound(), "");
  EXPECT_EQ(tdi(), "CONFIG_UNLOCKED");
  EXPECT_EQ(error_of(vmm.destroy(vmm.vdevice_id)), Errno::kBusy);  // VFIO's door is still held
  ASSERT_TRUE(vmm.vfio_unbind().has_value());
  EXPECT_TRUE(vmm.vfio_bind().has_value());
}

TEST_F(AutoUnbind, ClearingBusMasteringUnbindsFirstAndNoTdiGoesToError) {
  bind();
  ASSERT_FALSE(HasFatalFailure());
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, 0x2).has_value());
  EXPECT_EQ(bound(), "");
  EXPECT_EQ(tdi(), "CONFIG_UNLOCKED");
}

// --- Config space ---

TEST_F(DeviceTest, BarsAreSizedInTheProgramsOwnCopy) {
  for (const std::string_view path : {kPf, kVf0}) {
    Vmm other(*machine);
    std::swap(other.vfio, vmm.vfio);
    ASSERT_TRUE(vmm.open_device(path).has_value());
    ASSERT_TRUE(vmm.bind_iommufd().has_value());
    const auto flags = read<std::uint32_t>(kConfig + 0x18) & 0xfU;
    EXPECT_EQ(flags, 0xcU) << path;  // 64-bit, prefetchable
    ASSERT_TRUE(write<std::uint32_t>(kConfig + 0x18, ~0U).has_value());
    ASSERT_TRUE(write<std::uint32_t>(kConfig + 0x1c, ~0U).has_value());
    EXPECT_EQ(read<std::uint32_t>(kConfig + 0x18), 0xfff0'000cU) << path;
    EXPECT_EQ(read<std::uint32_t>(kConfig + 0x1c), ~0U) << path;
    (void)vmm.close(std::exchange(vmm.vfio, -1));
  }
}

TEST_F(DeviceTest, PartialWriteOfABarChangesThatPart) {
  open();
  ASSERT_TRUE(write<std::uint32_t>(kConfig + 0x18, 0xab00'0000U).has_value());
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 0x1a, 0xcd10).has_value());
  EXPECT_EQ(read<std::uint32_t>(kConfig + 0x18), 0xcd10'000cU);
  ASSERT_TRUE(write<std::uint8_t>(kConfig + 0x1b, 0xef).has_value());
  EXPECT_EQ(read<std::uint32_t>(kConfig + 0x18), 0xef10'000cU);
  ASSERT_TRUE(write<std::uint32_t>(kConfig + 0x1c, 0x1234U).has_value());
  ASSERT_TRUE(write<std::uint8_t>(kConfig + 0x1d, 0x56).has_value());
  EXPECT_EQ(read<std::uint32_t>(kConfig + 0x1c), 0x5634U);
}

TEST_F(DeviceTest, AccessPastTheEndOfARegionIsRefused) {
  open();
  std::uint32_t value = 0;
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, kConfig + 4096, writable_bytes_of(value))), Errno::kFault);
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, region(8), writable_bytes_of(value))), Errno::kInval);
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, region(40), writable_bytes_of(value))), Errno::kInval);
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, region(1), writable_bytes_of(value))), Errno::kInval);
  EXPECT_EQ(error_of(vmm.mmap(vmm.vfio, 0, kPageSize)), Errno::kInval);  // registers
  EXPECT_EQ(error_of(vmm.mmap(vmm.vfio, kBar2, (1U << 20U) + kPageSize)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.mmap(vmm.vfio, kBar2 + (1U << 20U), kPageSize)), Errno::kInval);
}

TEST_F(DeviceTest, ResetKeepsConfigAndClearsMemory) {
  open();
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, kCommandOn).has_value());
  ASSERT_TRUE(write<std::uint32_t>(0x40, 77).has_value());  // SCRATCH0
  EXPECT_EQ(read<std::uint32_t>(0x40), 77U);
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}).has_value());
  EXPECT_EQ(read<std::uint16_t>(kConfig + 4) & kCommandOn, kCommandOn);
  EXPECT_EQ(read<std::uint32_t>(0x40), 0U);
}

// pci_save_pcie_state(): the next user does not find what this one has chosen.
TEST_F(DeviceTest, TheLastCloseWritesTheExpressControlsBack) {
  open();
  const std::uint16_t express = capability(0x10);
  for (const std::uint64_t control : {kConfig + express + 0x8, kConfig + express + 0x28}) {
    const auto before = read<std::uint16_t>(control);
    const auto chosen = static_cast<std::uint16_t>(before ^ 0x5U);
    ASSERT_TRUE(write(control, chosen).has_value());
    EXPECT_EQ(read<std::uint16_t>(control), chosen);
    ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
    open();
    EXPECT_EQ(read<std::uint16_t>(control), before);
  }
}

TEST_F(DeviceTest, SecondFileOfADeviceIsRefusedUntilTheFirstIsClosed) {
  open();
  Vmm other(*machine, 2);
  ASSERT_TRUE(other.open_device(kPf).has_value());
  EXPECT_EQ(error_of(other.bind_iommufd()), Errno::kInval);
  (void)vmm.close(std::exchange(vmm.vfio, -1));
  EXPECT_TRUE(other.bind_iommufd().has_value());
}

// --- Memory off and on ---

TEST_F(DeviceTest, MemoryOffMakesMappingsSigbusAndAccessesFail) {
  open();
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, kCommandOn).has_value());
  ASSERT_TRUE(vmm.mmap(vmm.vfio, kBar2, kPageSize).has_value());
  (*vmm.mapped(vmm.vfio).touch(kBar2))[0] = std::byte{0x5a};
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, 0).has_value());
  EXPECT_FALSE(vmm.mapped(vmm.vfio).touch(kBar2).has_value());
  std::uint32_t value = 0;
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, kBar2, writable_bytes_of(value))), Errno::kIo);
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, kCommandOn).has_value());
  const auto window = vmm.mapped(vmm.vfio).touch(kBar2);
  ASSERT_TRUE(window.has_value());
  EXPECT_EQ((*window)[0], std::byte{0x5a});
}

TEST_F(DeviceTest, MappingMadeWhileMemoryIsOffComesWithIt) {
  open();
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, 0).has_value());
  ASSERT_TRUE(vmm.mmap(vmm.vfio, kBar2, kPageSize).has_value());
  EXPECT_FALSE(vmm.mapped(vmm.vfio).touch(kBar2).has_value());
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, 0x2).has_value());
  EXPECT_TRUE(vmm.mapped(vmm.vfio).touch(kBar2).has_value());
}

TEST_F(DeviceTest, MemoryOffRevokesDmaBufsAndMemoryOnBringsThemBack) {
  ASSERT_TRUE(connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.finalize().has_value());
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, kCommandOn).has_value());
  const int buffer = *vmm.export_bar(2, kPageSize);
  abi::kvm_userspace_memory_region2 slot{};
  slot.flags = KVM_MEM_VFIO_DMABUF;
  slot.guest_phys_addr = raw(kMmioGpa);
  slot.memory_size = kPageSize;
  slot.guest_memfd = static_cast<std::uint32_t>(buffer);
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, 0).has_value());
  EXPECT_EQ(error_of(vmm.set_region(slot)), Errno::kNoDev);
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, kCommandOn).has_value());
  ASSERT_TRUE(vmm.set_region(slot).has_value());
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, 0).has_value());
  ASSERT_TRUE(vmm.set_private(kMmioGpa, kPageSize).has_value());
  EXPECT_EQ(error_of(vmm.pre_fault(kMmioGpa)), Errno::kFault);
}

TEST_F(DeviceTest, DmaBufsRangesMustLieInABar) {
  open();
  EXPECT_EQ(error_of(vmm.export_bar(1, kPageSize)), Errno::kNoDev);
  EXPECT_EQ(error_of(vmm.export_bar(7, kPageSize)), Errno::kNoDev);
  EXPECT_EQ(error_of(vmm.export_bar(2, 0)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.export_bar(2, 100)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.export_bar(2, (1U << 20U) + kPageSize)), Errno::kInval);
}

// --- Interrupts ---

struct IrqSet {
  std::uint32_t argsz, flags, index, start, count;
  std::int32_t data[2];
};
constexpr std::uint32_t kMsix = 2;

TEST_F(DeviceTest, InterruptsThatTheProgramTriggersReachTheirEventfds) {
  open();
  auto first = object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd);
  const int fd = *vmm.install(object::Ref<object::File>(first));
  IrqSet set{sizeof(set), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, kMsix, 0, 2,
             {fd, -1}};
  // msi_device_populate_sysfs(): a file each, also for the one without eventfd.
  const std::string irqs = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/msi_irqs/";
  EXPECT_FALSE(vmm.cat(irqs + "24").has_value());
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, set).has_value());
  EXPECT_EQ(vmm.cat(irqs + "24").value_or(""), "msix\n");
  EXPECT_EQ(vmm.cat(irqs + "25").value_or(""), "msix\n");
  EXPECT_FALSE(vmm.cat(irqs + "26").has_value());
  IrqSet fire{20, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, kMsix, 0, 2, {}};
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, fire).has_value());
  EXPECT_EQ(first->take(), 1U);
  IrqSet off{20, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, kMsix, 0, 0, {}};
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, off).has_value());
  EXPECT_FALSE(vmm.cat(irqs + "24").has_value());
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, fire)), Errno::kInval);
  EXPECT_EQ(first->take(), 0U);
}

struct MsixOfDevice : DeviceTest {
  /// Vector 1 to an eventfd.
  void SetUp() override {
    open();
    ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, kCommandOn).has_value());
  }
  void connect_vector() {
    const int fd = *vmm.install(object::Ref<object::File>(eventfd));
    IrqSet set{sizeof(set), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, kMsix, 0, 2,
               {-1, fd}};
    ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, set).has_value());
  }
  void reset() {
    ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}).has_value());
  }
  /// Enable and Function Mask.
  std::uint16_t control() { return read<std::uint16_t>(kConfig + capability(0x11) + 2U) & 0xc000U; }
  /// A doorbell without a ring: the engine fires vector 1. How often the eventfd is signalled.
  std::uint64_t interrupts_of_an_error() {
    EXPECT_TRUE(write<std::uint16_t>(kConfig + 4, kCommandOn).has_value());
    for (const auto& [at, value] : {std::pair{0x08U, 2U}, {0x08U, 1U}, {0x24U, 1U}})
      EXPECT_TRUE(write<std::uint32_t>(at, value).has_value());
    EXPECT_EQ(read<std::uint32_t>(0x28), 1U);
    return eventfd->take();
  }

  object::Ref<mm::PlainEventFd> eventfd =
      object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd);
};

TEST_F(MsixOfDevice, StaysOverAReset) {
  connect_vector();
  EXPECT_EQ(interrupts_of_an_error(), 1U);
  reset();
  EXPECT_EQ(control(), 0x8000U);
  EXPECT_EQ(interrupts_of_an_error(), 1U);
}

TEST_F(MsixOfDevice, StaysOverAResetWithMemoryOff) {
  connect_vector();
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, 0).has_value());
  reset();
  EXPECT_EQ(read<std::uint16_t>(kConfig + 4) & kCommandOn, 0);
  EXPECT_EQ(interrupts_of_an_error(), 1U);
}

TEST_F(MsixOfDevice, IsOffAfterAResetWhenItWasOff) {
  connect_vector();
  IrqSet off{20, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, kMsix, 0, 0, {}};
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, off).has_value());
  reset();
  EXPECT_EQ(control(), 0U);
  EXPECT_EQ(interrupts_of_an_error(), 0U);
}

TEST_F(MsixOfDevice, AVectorTakenBackStaysSilentAfterAReset) {
  connect_vector();
  IrqSet none{sizeof(none), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, kMsix, 1, 1,
              {-1, -1}};
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, none).has_value());
  reset();
  EXPECT_EQ(control(), 0x8000U);
  EXPECT_EQ(interrupts_of_an_error(), 0U);
}

// Its message is another vector's by then.
TEST_F(MsixOfDevice, AVectorTakenBackDoesNotSpeakForAnotherOneAfterAReset) {
  connect_vector();
  IrqSet none{sizeof(none), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, kMsix, 1, 1,
              {-1, -1}};
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, none).has_value());
  const int fd = *vmm.install(object::Ref<object::File>(eventfd));
  IrqSet other{sizeof(other), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, kMsix, 0, 1,
               {fd, -1}};
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, other).has_value());
  reset();
  EXPECT_EQ(interrupts_of_an_error(), 0U);
}

TEST_F(MsixOfDevice, IsConnectedWhileMemoryIsOff) {
  ASSERT_TRUE(write<std::uint16_t>(kConfig + 4, 0).has_value());
  connect_vector();
  EXPECT_EQ(read<std::uint16_t>(kConfig + 4) & kCommandOn, 0);
  EXPECT_EQ(interrupts_of_an_error(), 1U);
}

TEST_F(DeviceTest, InterruptSetIsCheckedBeforeAnythingIsDone) {
  open();
  const IrqSet good{
      sizeof(good), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, kMsix, 0, 1, {-1, -1}};
  const auto error_with = [&](auto change) {
    IrqSet set = good;
    change(set);
    return error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, set));
  };
  EXPECT_EQ(error_with([](IrqSet& s) { s.index = 9; }), Errno::kInval);
  EXPECT_EQ(error_with([](IrqSet& s) { s.start = 4; }), Errno::kInval);
  EXPECT_EQ(error_with([](IrqSet& s) { s.count = 5; }), Errno::kInval);
  EXPECT_EQ(error_with([](IrqSet& s) { s.argsz = 20; }), Errno::kInval);
  EXPECT_EQ(error_with([](IrqSet& s) { s.flags |= VFIO_IRQ_SET_DATA_BOOL; }), Errno::kInval);
  EXPECT_EQ(error_with([](IrqSet& s) { s.flags |= 1U << 9U; }), Errno::kInval);
  EXPECT_EQ(error_with([](IrqSet& s) { s.data[0] = 999; }), Errno::kBadF);
  EXPECT_EQ(error_with([&](IrqSet& s) { s.data[0] = vmm.vfio; }), Errno::kInval);
}

}  // namespace
}  // namespace teeio::vfio
