// Expansion ROMs and I/O BARs through VFIO: Linux drivers/vfio/pci/vfio_pci_core.c,
// vfio_pci_rdwr.c, vfio_pci_config.c. And through sysfs: drivers/pci/pci-sysfs.c.

#include <algorithm>
#include <numeric>

#include "host/vfio/device.h"
#include "host/vfio/mapped_rom.h"
#include "schedule/task.h"
#include "unit/machine/make_machine.h"

namespace teeio::vfio {
namespace {

using machine::Machine;
using machine::test::error_of;
using machine::test::kPf;
using machine::test::kPlainCard;
using machine::test::kVf0;
using machine::test::make_machine;
using machine::test::Vmm;

constexpr std::uint64_t region_at(std::uint64_t index) { return index << kRegionShift; }
constexpr std::uint64_t kConfigAt = region_at(kConfigRegion), kRom = region_at(kRomRegion),
                        kPorts = region_at(2);
const std::string kPlainDir = "/sys/devices/pci0000:00/0000:00:02.0/0000:02:00.0/";

struct RomAndPortsTest : testing::Test {
  void open(std::string_view path = kPlainCard) {
    ASSERT_TRUE(vmm.open_device(path).has_value());
    ASSERT_TRUE(vmm.bind_iommufd().has_value());
  }
  template <class T>
  void write(std::uint64_t at, T value) {
    EXPECT_TRUE(vmm.pwrite(vmm.vfio, at, bytes_of(value)).has_value());
  }
  template <class T>
  T read(std::uint64_t at) {
    T value{};
    EXPECT_TRUE(vmm.pread(vmm.vfio, at, writable_bytes_of(value)).has_value());
    return value;
  }
  abi::vfio_region_info info(std::uint32_t index) {
    abi::vfio_region_info arg{};
    arg.argsz = sizeof(arg);
    arg.index = index;
    EXPECT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_GET_REGION_INFO, arg).has_value());
    return arg;
  }

  std::unique_ptr<Machine> machine = make_machine("pci-functions");
  Vmm vmm{*machine};
};

/// A function that has an expansion ROM and nothing else.
class RomAlone final : public hw::PciFunction, private hw::MmioTarget {
 public:
  explicit RomAlone(Bytes bytes) : bytes_(std::move(bytes)) {}
  [[nodiscard]] Bdf bdf() const override { return {.bus = 1}; }
  std::uint32_t config_read(std::uint16_t, unsigned) override { return 0; }
  void config_write(std::uint16_t, unsigned, std::uint32_t) override {}
  [[nodiscard]] const std::array<hw::Bar, hw::kBarCount>& bars() const override { return bars_; }
  [[nodiscard]] const hw::Bar* rom() const override { return &rom_; }
  void reset(hw::ResetKind) override {}
  [[nodiscard]] hw::PciFunction* physical_function() override { return nullptr; }
  void attach(hw::DmaPort&) override {}

 private:
  void mmio_read(std::uint64_t offset, std::span<std::byte> out) override {
    std::ranges::copy(ByteView(bytes_).subspan(offset, out.size()), out.begin());
  }
  void mmio_write(std::uint64_t, ByteView) override {}

  const Bytes bytes_;
  const std::array<hw::Bar, hw::kBarCount> bars_{};
  const hw::Bar rom_{
      .kind = hw::Bar::Kind::kMemory32, .size = bytes_.size(), .base = Hpa{0}, .target = this};
};

/// An image of so many units of 512 bytes, as its PCI data structure says.
void put_image(Bytes& rom, std::size_t at, std::uint8_t units, bool last) {
  const auto put = [&](std::size_t offset, std::initializer_list<unsigned> bytes) {
    for (const unsigned byte : bytes) rom.at(at + offset++) = static_cast<std::byte>(byte);
  };
  put(0, {0x55, 0xaa});
  put(24, {28, 0});
  put(28, {'P', 'C', 'I', 'R'});
  put(28 + 16, {units, 0});
  put(28 + 21, {last ? 0x80U : 0U});
}

// pci_get_rom_size(): images follow each other up to the last one, or to one without a length,
// behind which there would be no end.
TEST(RomSize, IsThatOfTheImagesUpToOneWithoutALength) {
  const auto size_of = [](const Bytes& bytes) {
    RomAlone function(bytes);
    return MappedRom(function).size();
  };
  Bytes rom(4096);
  EXPECT_EQ(size_of(rom), 0U);
  put_image(rom, 0, 1, false);
  EXPECT_EQ(size_of(rom), 512U) << "no further signature";
  put_image(rom, 512, 2, true);
  EXPECT_EQ(size_of(rom), 1536U);
  put_image(rom, 512, 0, false);
  EXPECT_EQ(size_of(rom), 512U);
  put_image(rom, 0, 0, false);
  EXPECT_EQ(size_of(rom), 0U);
}

TEST_F(RomAndPortsTest, RomIsARegionThatIsReadAlone) {
  open();
  const abi::vfio_region_info rom = info(kRomRegion);
  EXPECT_EQ(rom.size, 16U * 1024);
  EXPECT_EQ(rom.flags, static_cast<std::uint32_t>(VFIO_REGION_INFO_FLAG_READ));
  EXPECT_EQ(read<std::uint16_t>(kRom), 0xaa55);
  const auto data = read<std::uint16_t>(kRom + 0x18);
  EXPECT_EQ(read<std::uint32_t>(kRom + data), 0x5249'4350U);
  EXPECT_EQ(read<std::uint32_t>(kRom + data + 4), 0x0e00'1efeU);
  Bytes all(32 * 1024);
  EXPECT_EQ(vmm.pread(vmm.vfio, kRom, all).value_or(0), 16U * 1024) << "to the BAR's end";
  const auto sum = std::accumulate(all.begin(), all.begin() + 1024, 0U, [](unsigned s, auto b) {
    return s + std::to_integer<unsigned>(b);
  });
  EXPECT_EQ(sum & 0xffU, 0U);
  EXPECT_EQ(all.at(1024), std::byte{0xff}) << "behind the image";
  EXPECT_EQ(error_of(vmm.pwrite(vmm.vfio, kRom, bytes_of(sum))), Errno::kInval);
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, kRom + 16 * 1024, all)), Errno::kInval);
}

TEST_F(RomAndPortsTest, RomRegisterIsACopyThatSaysItsSize) {
  open();
  EXPECT_EQ(read<std::uint32_t>(kConfigAt + 0x30), 0xe010'0000U);
  write<std::uint32_t>(kConfigAt + 0x30, 0xffff'f800);
  EXPECT_EQ(read<std::uint32_t>(kConfigAt + 0x30), 0xffff'c000U);
  write<std::uint32_t>(kConfigAt + 0x30, 0x1234'5001);
  EXPECT_EQ(read<std::uint32_t>(kConfigAt + 0x30), 0x1234'4001U);
  EXPECT_EQ(read<std::uint16_t>(kRom), 0xaa55) << "where the host has it";
}

TEST_F(RomAndPortsTest, RomWithMemoryOffHasNoImage) {
  open();
  write<std::uint16_t>(kConfigAt + 4, 0);
  std::uint16_t word = 0;
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, kRom, writable_bytes_of(word))), Errno::kNoMem);
  EXPECT_EQ(info(kRomRegion).size, 16U * 1024) << "GET_REGION_INFO switches memory on";
  EXPECT_EQ(read<std::uint16_t>(kConfigAt + 4) & 2, 0);
}

TEST_F(RomAndPortsTest, VfsHaveNoRomAndNoPorts) {
  open(kVf0);
  EXPECT_EQ(info(kRomRegion).size, 0U);
  write<std::uint32_t>(kConfigAt + 0x30, ~0U);
  EXPECT_EQ(read<std::uint32_t>(kConfigAt + 0x30), 0U);
  std::uint16_t word = 0;
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, kRom, writable_bytes_of(word))), Errno::kInval);
}

TEST_F(RomAndPortsTest, RomOfABoundDeviceIsNotRead) {
  ASSERT_TRUE(machine::test::connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  write<std::uint16_t>(kConfigAt + 4, 6);
  ASSERT_TRUE(vmm.vfio_bind().has_value());
  std::uint16_t word = 0;
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, kRom, writable_bytes_of(word))), Errno::kIo);
  EXPECT_EQ(info(kRomRegion).size, 64U * 1024);
}

TEST_F(RomAndPortsTest, PortsAreARegionThatCannotBeMapped) {
  open();
  const abi::vfio_region_info ports = info(2);
  EXPECT_EQ(ports.size, 32U);
  EXPECT_EQ(ports.flags, static_cast<std::uint32_t>(VFIO_REGION_INFO_FLAG_READ) |
                             static_cast<std::uint32_t>(VFIO_REGION_INFO_FLAG_WRITE));
  EXPECT_EQ(error_of(vmm.mmap(vmm.vfio, kPorts, kPageSize)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.export_bar(2, kPageSize)), Errno::kInval);
}

TEST_F(RomAndPortsTest, PortsReachTheMemoryOfBar0) {
  open();
  EXPECT_EQ(read<std::uint32_t>(kPorts), 0x314f'4950U);
  write<std::uint32_t>(0x1238, 0xcafe'f00d);
  write<std::uint32_t>(kPorts + 4, 0x1238);
  EXPECT_EQ(read<std::uint32_t>(kPorts + 8), 0xcafe'f00dU);
  EXPECT_EQ(read<std::uint8_t>(kPorts + 9), 0xf0);
  write<std::uint16_t>(kPorts + 10, 0x1122);
  EXPECT_EQ(read<std::uint32_t>(0x1238), 0x1122'f00dU);
  write<std::uint64_t>(kPorts + 0x10, 0x8877'6655'4433'2211);  // two accesses
  EXPECT_EQ(read<std::uint64_t>(kPorts + 0x10), 0x8877'6655'4433'2211U);
  write<std::uint32_t>(kPorts, 0);  // its name is read alone
  EXPECT_EQ(read<std::uint32_t>(kPorts), 0x314f'4950U);
}

TEST_F(RomAndPortsTest, AResetForgetsWhatThePortsHold) {
  open();
  write<std::uint32_t>(kPorts + 4, 0x1238);
  write<std::uint32_t>(kPorts + 0x10, 0xcafe'f00d);
  std::uint64_t none = 0;
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, none).has_value());
  EXPECT_EQ(read<std::uint32_t>(kPorts + 4), 0U);
  EXPECT_EQ(read<std::uint32_t>(kPorts + 0x10), 0U);
}

/// No card of the machine's has ports and TDIs: the TSM's own call says that it is bound.
TEST_F(RomAndPortsTest, PortsOfABoundDeviceAreNotReached) {
  open();
  write<std::uint32_t>(kPorts + 4, 0x1238);
  const auto file = vmm.file(vmm.vfio);
  ASSERT_TRUE(file.has_value());
  Device& device = static_cast<DeviceFile&>(**file).device();
  device.set_bound(true);
  std::uint32_t word = 0x1240;
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, kPorts, writable_bytes_of(word))), Errno::kIo);
  EXPECT_EQ(error_of(vmm.pwrite(vmm.vfio, kPorts + 4, bytes_of(word))), Errno::kIo);
  EXPECT_EQ(error_of(vmm.pread(vmm.vfio, kRom, writable_bytes_of(word))), Errno::kIo);
  device.set_bound(false);
  EXPECT_EQ(read<std::uint32_t>(kPorts + 4), 0x1238U) << "a write came through";
}

TEST_F(RomAndPortsTest, IoSpaceHasAnEnableOfItsOwn) {
  open();
  write<std::uint16_t>(kConfigAt + 4, 1);
  EXPECT_EQ(read<std::uint32_t>(kPorts), 0x314f'4950U) << "memory is off";
  write<std::uint16_t>(kConfigAt + 4, 2);
  EXPECT_EQ(read<std::uint32_t>(kPorts), ~0U) << "I/O is";
  EXPECT_EQ(read<std::uint16_t>(kConfigAt + 4) & 3, 2);
}

TEST_F(RomAndPortsTest, IoBarSaysItsKindAndSize) {
  open();
  EXPECT_EQ(read<std::uint32_t>(kConfigAt + 0x18), 0x2001U);
  write<std::uint32_t>(kConfigAt + 0x18, ~0U);
  EXPECT_EQ(read<std::uint32_t>(kConfigAt + 0x18), 0xffff'ffe1U);
}

// --- sysfs ---

TEST_F(RomAndPortsTest, SysfsReadsTheRomAfterOneWasWritten) {
  const int fd = *vmm.open(kPlainDir + "rom");
  std::uint16_t word = 0;
  EXPECT_EQ(error_of(vmm.pread(fd, 0, writable_bytes_of(word))), Errno::kInval);
  EXPECT_EQ(error_of(vmm.echo("maybe\n", kPlainDir + "rom")), Errno::kInval);
  ASSERT_TRUE(vmm.echo("1\n", kPlainDir + "rom").has_value());
  Bytes all(4096);
  EXPECT_EQ(vmm.pread(fd, 0, all).value_or(0), 1024U) << "its images";
  EXPECT_EQ(all.at(0), std::byte{0x55});
  for (const std::uint64_t end : {1024U, 1028U})
    EXPECT_EQ(vmm.pread(fd, end, all).value_or(1), 0U) << end;
  ASSERT_TRUE(vmm.echo("0\n", kPlainDir + "rom").has_value());
  EXPECT_EQ(error_of(vmm.pread(fd, 0, writable_bytes_of(word))), Errno::kInval);
}

/// pci_disable_rom(): whatever the register had before.
TEST_F(RomAndPortsTest, SysfsLeavesTheRomSwitchedOff) {
  ASSERT_TRUE(vmm.echo("1\n", kPlainDir + "rom").has_value());
  const int config = *vmm.open(kPlainDir + "config"), rom = *vmm.open(kPlainDir + "rom");
  ASSERT_TRUE(vmm.pwrite(config, 0x30, bytes_of(std::uint32_t{0xe010'0001})).has_value());
  std::uint16_t word = 0;
  EXPECT_EQ(vmm.pread(rom, 0, writable_bytes_of(word)).value_or(0), 2U);
  std::uint32_t bar = 0;
  EXPECT_TRUE(vmm.pread(config, 0x30, writable_bytes_of(bar)).has_value());
  EXPECT_EQ(bar, 0xe010'0000U);
}

TEST_F(RomAndPortsTest, SysfsDoesNotReachTheRomOfABoundDevice) {
  ASSERT_TRUE(machine::test::connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  write<std::uint16_t>(kConfigAt + 4, 6);
  const std::string path = std::string(machine::test::kCard) + "/rom";
  ASSERT_TRUE(vmm.echo("1\n", path).has_value());
  const int rom = *vmm.open(path);
  std::uint16_t word = 0;
  EXPECT_EQ(vmm.pread(rom, 0, writable_bytes_of(word)).value_or(0), 2U);
  ASSERT_TRUE(vmm.vfio_bind().has_value());
  EXPECT_EQ(error_of(vmm.pread(rom, 0, writable_bytes_of(word))), Errno::kIo);
  ASSERT_TRUE(vmm.vfio_unbind().has_value());
  write<std::uint16_t>(kConfigAt + 4, 6);
  EXPECT_EQ(vmm.pread(rom, 0, writable_bytes_of(word)).value_or(0), 2U);
}

/// Each switches the ROM on and off again: beside the other it would read ones.
TEST_F(RomAndPortsTest, SysfsAndVfioReadTheRomOneAfterTheOther) {
  open();
  ASSERT_TRUE(vmm.echo("1\n", kPlainDir + "rom").has_value());
  const int rom = *vmm.open(kPlainDir + "rom");
  const auto read_often = [&](int fd, std::uint64_t at) {
    for (int i = 0; i < 3000; ++i) {
      std::uint16_t word = 0;
      if (vmm.pread(fd, at, writable_bytes_of(word)).value_or(0) != 2 || word != 0xaa55)
        return false;
    }
    return true;
  };
  bool good = false;
  schedule::Task other = schedule::Task::spawn("vfio", [&] { good = read_often(vmm.vfio, kRom); });
  EXPECT_TRUE(read_often(rom, 0));
  other.join();
  EXPECT_TRUE(good);
}

TEST_F(RomAndPortsTest, SysfsReadsAndWritesPorts) {
  const int fd = *vmm.open(kPlainDir + "resource2");
  std::uint32_t word = 0;
  EXPECT_EQ(vmm.pread(fd, 0, writable_bytes_of(word)).value_or(0), 4U);
  EXPECT_EQ(word, 0x314f'4950U);
  EXPECT_TRUE(vmm.pwrite(fd, 0x10, bytes_of(std::uint16_t{0x1234})).has_value());
  EXPECT_TRUE(vmm.pread(fd, 0x10, writable_bytes_of(word)).has_value());
  EXPECT_EQ(word, 0x1234U);
  std::array<std::byte, 3> three{};
  EXPECT_EQ(error_of(vmm.pread(fd, 0, three)), Errno::kInval);
  EXPECT_EQ(vmm.pread(fd, 32, three).value_or(1), 0U);
}

TEST_F(RomAndPortsTest, ResourceSaysRomAndPorts) {
  const std::string lines = vmm.cat(kPlainDir + "resource").value_or("");
  EXPECT_NE(lines.find("0x0000000000002000 0x000000000000201f 0x0000000000040101\n"),
            std::string::npos)
      << lines;
  EXPECT_NE(lines.find("0x00000000e0100000 0x00000000e0103fff 0x0000000000046200\n"),
            std::string::npos)
      << lines;
  const std::string port = vmm.cat("/sys/devices/pci0000:00/0000:00:02.0/resource").value_or("");
  EXPECT_NE(port.find("0x0000000000002000 0x0000000000002fff 0x0000000000000100\n"),
            std::string::npos)
      << port;
  EXPECT_NE(port.find("0x00000000e0100000 0x00000000e01fffff 0x0000000000000200\n"),
            std::string::npos)
      << port;
}

}  // namespace
}  // namespace teeio::vfio
