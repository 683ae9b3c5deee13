// Eventfds that write to BARs: Linux drivers/vfio/pci/vfio_pci_rdwr.c, vfio_pci_ioeventfd().

#include <cstring>

#include "schedule/task.h"
#include "unit/machine/make_machine.h"

namespace teeio::vfio::ioeventfd_test {
namespace {

using machine::Machine;
using machine::test::error_of;
using machine::test::kPf;
using machine::test::make_machine;
using machine::test::Vmm;

constexpr std::uint64_t kConfigSpace = std::uint64_t{kConfigRegion} << kRegionShift;
constexpr std::uint64_t kMemoryBar = std::uint64_t{2} << kRegionShift;
constexpr std::uint16_t kCommandMemory = 2;

struct IoEventFdTest : testing::Test {
  struct Event {
    object::Ref<mm::PlainEventFd> file = object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd);
    int fd = -1;
    void signal() const { (*file->eventfd())->signal(); }
  };
  void SetUp() override {
    ASSERT_TRUE(vmm.open_device(kPf).has_value());
    ASSERT_TRUE(vmm.bind_iommufd().has_value());
    set_command(kCommandMemory);
    event.fd = *vmm.install(object::Ref<object::File>(event.file));
  }
  void set_command(std::uint16_t value) {
    ASSERT_TRUE(vmm.pwrite(vmm.vfio, kConfigSpace + 4, bytes_of(value)).has_value());
  }
  Result<std::int64_t> set(std::uint32_t size, std::uint64_t offset, std::uint64_t data, int fd) {
    abi::vfio_device_ioeventfd arg{.argsz = sizeof(arg),
                                   .flags = size,
                                   .offset = offset,
                                   .data = data,
                                   .fd = fd,
                                   .reserved = 0};
    return vmm.ioctl(vmm.vfio, VFIO_DEVICE_IOEVENTFD, arg);
  }
  std::uint64_t read(std::uint64_t at) {
    std::uint64_t value = 0;
    EXPECT_TRUE(vmm.pread(vmm.vfio, at, writable_bytes_of(value)).has_value());
    return value;
  }
  void write(std::uint64_t at, std::uint64_t value) {
    EXPECT_TRUE(vmm.pwrite(vmm.vfio, at, bytes_of(value)).has_value());
  }

  const std::unique_ptr<Machine> machine = make_machine();
  Vmm vmm{*machine};
  Event event;
};

TEST_F(IoEventFdTest, ASignalWritesSoManyBytes) {
  constexpr std::uint64_t kData = 0x1122'3344'5566'7788;
  struct {
    std::uint32_t size;
    std::uint64_t seen;
  } const rows[] = {{1, 0xffff'ffff'ffff'ff88},
                    {2, 0xffff'ffff'ffff'7788},
                    {4, 0xffff'ffff'5566'7788},
                    {8, kData}};
  for (const auto& row : rows) {
    const std::uint64_t at = kMemoryBar + 0x100;
    write(at, ~0ULL);
    ASSERT_TRUE(set(row.size, at, kData, event.fd).has_value());
    event.signal();
    while (read(at) == ~0ULL) schedule::yield();  // it comes on a task of its own
    EXPECT_EQ(read(at), row.seen) << row.size;
    EXPECT_EQ(event.file->take(), 0U) << "the count is taken";
    ASSERT_TRUE(set(row.size, at, kData, -1).has_value());
    write(at, ~0ULL);
    event.signal();
    EXPECT_EQ(event.file->take(), 1U) << "nobody waits for it any more";
    EXPECT_EQ(read(at), ~0ULL);
  }
}

TEST_F(IoEventFdTest, ASignalThatCameBeforeCounts) {
  event.signal();
  ASSERT_TRUE(set(4, kMemoryBar, 7, event.fd).has_value());
  EXPECT_EQ(read(kMemoryBar) & 0xffffffff, 7U);
}

TEST_F(IoEventFdTest, EachPlaceSizeAndValueHasOne) {
  ASSERT_TRUE(set(4, kMemoryBar, 7, event.fd).has_value());
  EXPECT_EQ(error_of(set(4, kMemoryBar, 7, event.fd)), Errno::kExist);
  EXPECT_EQ(error_of(set(4, kMemoryBar, 7, 999)), Errno::kExist) << "before the descriptor";
  EXPECT_TRUE(set(4, kMemoryBar, 8, event.fd).has_value());
  EXPECT_TRUE(set(2, kMemoryBar, 7, event.fd).has_value());
  EXPECT_TRUE(set(4, kMemoryBar + 4, 7, event.fd).has_value());
  EXPECT_TRUE(set(4, kMemoryBar, 7, -1).has_value());
  EXPECT_EQ(error_of(set(4, kMemoryBar, 7, -1)), Errno::kNoDev);
}

TEST_F(IoEventFdTest, RefusesWhatLinuxDoes) {
  const int fd = event.fd;
  EXPECT_EQ(error_of(set(0, kMemoryBar, 0, fd)), Errno::kInval);
  EXPECT_EQ(error_of(set(3, kMemoryBar, 0, fd)), Errno::kInval);
  EXPECT_EQ(error_of(set(16, kMemoryBar, 0, fd)), Errno::kInval);
  EXPECT_EQ(error_of(set(4, kMemoryBar, 0, -2)), Errno::kInval);
  EXPECT_EQ(error_of(set(4, kMemoryBar, 0, 999)), Errno::kBadF);
  EXPECT_EQ(error_of(set(4, kMemoryBar, 0, vmm.iommufd)), Errno::kInval);
  EXPECT_EQ(error_of(set(4, kConfigSpace + 4, 0, fd)), Errno::kInval);
  EXPECT_EQ(error_of(set(4, std::uint64_t{kRomRegion} << kRegionShift, 0, fd)), Errno::kInval);
  EXPECT_EQ(error_of(set(4, std::uint64_t{1} << kRegionShift, 0, fd)), Errno::kInval)
      << "the upper half of BAR 0";
  abi::vfio_region_info info{};
  info.argsz = sizeof(info);
  info.index = 2;
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_GET_REGION_INFO, info).has_value());
  EXPECT_EQ(error_of(set(4, kMemoryBar + info.size - 3, 0, fd)), Errno::kInval);
  EXPECT_TRUE(set(4, kMemoryBar + info.size - 4, 0, fd).has_value());
  abi::vfio_device_ioeventfd small{};
  small.argsz = 27;
  small.flags = 4;
  small.offset = kMemoryBar;
  small.fd = fd;
  EXPECT_EQ(error_of(vmm.ioctl(vmm.vfio, VFIO_DEVICE_IOEVENTFD, small)), Errno::kInval);
}

TEST_F(IoEventFdTest, KeepsOffTheMsixTable) {
  std::uint8_t at = 0;
  for (at = static_cast<std::uint8_t>(read(kConfigSpace + 0x34)); at != 0;
       at = static_cast<std::uint8_t>(read(kConfigSpace + at) >> 8))
    if ((read(kConfigSpace + at) & 0xff) == 0x11) break;
  ASSERT_NE(at, 0);
  const auto control = static_cast<std::uint16_t>(read(kConfigSpace + at) >> 16);
  const auto table = static_cast<std::uint32_t>(read(kConfigSpace + at + 4));
  const std::uint64_t bar = std::uint64_t{table & 7U} << kRegionShift;
  const std::uint64_t begin = bar + (table & ~7U), end = begin + ((control & 0x7ffU) + 1) * 16;
  EXPECT_EQ(error_of(set(4, begin, 0, event.fd)), Errno::kInval);
  EXPECT_EQ(error_of(set(1, end - 1, 0, event.fd)), Errno::kInval);
  EXPECT_EQ(error_of(set(8, end - 4, 0, event.fd)), Errno::kInval);
  EXPECT_TRUE(set(1, end, 0, event.fd).has_value());
}

TEST_F(IoEventFdTest, ADeviceHasAThousand) {
  const auto add = [&](int number) {
    return set(4, kMemoryBar + 4 * static_cast<std::uint64_t>(number), 0, event.fd);
  };
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(add(i).has_value()) << i;
  EXPECT_EQ(error_of(add(1000)), Errno::kNoSpc);
  EXPECT_EQ(error_of(add(999)), Errno::kExist);
  ASSERT_TRUE(set(4, kMemoryBar, 0, -1).has_value());
  EXPECT_TRUE(add(1000).has_value());
}

TEST_F(IoEventFdTest, WritesNothingWhileMemoryIsOff) {
  write(kMemoryBar, 0);
  ASSERT_TRUE(set(4, kMemoryBar, 7, event.fd).has_value());
  set_command(0);
  event.signal();
  while (event.file->take() != 0) schedule::yield();
  ASSERT_TRUE(set(4, kMemoryBar, 7, -1).has_value());  // returns when none writes any more
  set_command(kCommandMemory);
  EXPECT_EQ(read(kMemoryBar), 0U);
}

TEST_F(IoEventFdTest, GoesWithTheLastClose) {
  ASSERT_TRUE(set(4, kMemoryBar, 7, event.fd).has_value());
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  event.signal();
  EXPECT_EQ(event.file->take(), 1U);
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  EXPECT_TRUE(set(4, kMemoryBar, 7, event.fd).has_value());
}

}  // namespace
}  // namespace teeio::vfio::ioeventfd_test
