// Every offset, length and kind of value, read and written through VFIO's tables, against a model
// of them that shares nothing with the code: rows as the kernel's p_setb(), p_setw() and p_setd()
// calls have them, laid out byte by byte. Source: Linux drivers/vfio/pci/vfio_pci_config.c,
// init_pci_cap_*_perm(), vfio_default_config_read(), vfio_default_config_write(),
// vfio_direct_config_read(), vfio_config_do_rw().

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "host/vfio/virtual_config.h"
#include "hw/capabilities.h"
#include "hw/config_space.h"

namespace teeio::vfio::config_tables_test {
namespace {

constexpr unsigned kSize = 4096;

/// A function whose registers take any value: what the tables let through is seen.
struct SoftFunction final : hw::PciFunction {
  [[nodiscard]] Bdf bdf() const override { return {}; }
  std::uint32_t config_read(std::uint16_t at, unsigned size) override {
    std::uint32_t value = 0;
    std::memcpy(&value, registers.data() + at, size);
    return value;
  }
  void config_write(std::uint16_t at, unsigned size, std::uint32_t value) override {
    std::memcpy(registers.data() + at, &value, size);
  }
  [[nodiscard]] const std::array<hw::Bar, hw::kBarCount>& bars() const override { return bars_; }
  void reset(hw::ResetKind) override {}
  hw::PciFunction* physical_function() override { return nullptr; }
  void attach(hw::DmaPort&) override {}

  std::array<std::uint8_t, kSize> registers{};

 private:
  std::array<hw::Bar, hw::kBarCount> bars_{};
};

/// One p_set?() call: within a capability, so many bytes.
struct Row {
  unsigned offset, bytes;
  std::uint32_t virt, write;
};

struct Capability {
  const char* name;
  unsigned id, at, bytes;
  enum class Access : std::uint8_t { kTable, kDirect, kRawWrite } access;
  std::vector<Row> rows;
  std::vector<std::pair<unsigned, std::uint32_t>> registers = {};  ///< offset and four bytes
};
using Access = Capability::Access;

/// A list of each kind of capability that has a table, and some that have none.
const std::vector<Capability>& capabilities() {
  static const std::vector<Capability> kAll = {
      {"PM",
       0x01,
       0x40,
       8,
       Access::kTable,
       {{1, 1, 0xff, 0}, {2, 2, 0xf800, 0}, {4, 4, 0x8100, 0xffff7efc}},
       {{0, 0xfbc30000}}},
      {"VPD",
       0x03,
       0x48,
       8,
       Access::kTable,
       {{1, 1, 0xff, 0}, {2, 2, 0xffff, 0xffff}, {4, 4, ~0U, ~0U}}},
      {"MSI 64 masked",
       0x05,
       0x50,
       24,
       Access::kTable,
       {{1, 1, 0xff, 0},
        {2, 1, 0xff, 0xff},
        {4, 4, ~0U, ~0U},
        {8, 4, ~0U, ~0U},
        {12, 2, 0xffff, 0xffff},
        {16, 4, 0, ~0U},
        {20, 4, 0, ~0U}},
       {{0, 0x01800000}}},
      {"PCI-X", 0x07, 0x68, 8, Access::kTable, {{1, 1, 0xff, 0}, {2, 2, 0, 0xffff}}},
      {"vendor", 0x09, 0x70, 12, Access::kRawWrite, {}, {{0, 0x000c0000}}},
      {"express",
       0x10,
       0x7c,
       0x34,
       Access::kTable,
       {{1, 1, 0xff, 0}, {8, 2, 0xf0e0, 0xfdff}, {0x28, 2, 0, 0xffdf}},
       {{0, 0x00020000}}},
      {"MSI-X", 0x11, 0xb0, 12, Access::kDirect, {}},
      {"AF", 0x13, 0xbc, 6, Access::kTable, {{1, 1, 0xff, 0}, {4, 1, 1, 1}}},
      {"MSI 32",
       0x05,
       0xc4,
       10,
       Access::kTable,
       {{1, 1, 0xff, 0}, {2, 1, 0xff, 0xff}, {4, 4, ~0U, ~0U}, {8, 2, 0xffff, 0xffff}}},
  };
  return kAll;
}

const std::vector<Capability>& extended() {
  constexpr std::uint32_t kUncorrectable = 0x03fff031, kCorrectable = 0xf1c1;
  static const std::vector<Capability> kAll = {
      {"errors",
       0x01,
       0x100,
       0x2c,
       Access::kTable,
       {{0, 4, ~0U, 0},
        {4, 4, 0, kUncorrectable},
        {8, 4, 0, kUncorrectable},
        {12, 4, 0, kUncorrectable},
        {16, 4, 0, kCorrectable},
        {20, 4, 0, kCorrectable},
        {24, 4, 0, 0x140}}},
      {"serial", 0x03, 0x130, 12, Access::kDirect, {}},
      {"power", 0x04, 0x140, 16, Access::kTable, {{0, 4, ~0U, 0}, {8, 1, 0, 0xff}}},
      {"vendor", 0x0b, 0x150, 20, Access::kRawWrite, {}, {{4, 0x01400000}}},
      {"SR-IOV", 0x10, 0x164, 0x40, Access::kDirect, {}},
      {"ATS", 0x0f, 0x1a4, 8, Access::kDirect, {}},
  };
  return kAll;
}

const std::vector<Row>& header() {
  static const std::vector<Row> kRows = {
      {0x00, 2, 0xffff, 0},  {0x02, 2, 0xffff, 0}, {0x04, 2, 0x400, 0xffff}, {0x06, 2, 0x10, 0},
      {0x0c, 1, 0, 0xff},    {0x0d, 1, 0, 0xff},   {0x0f, 1, 0, 0xff},       {0x34, 1, 0xff, 0},
      {0x3c, 1, 0xff, 0xff}, {0x3d, 1, 0xff, 0}};
  return kRows;
}

/// The kernel's vconfig and permissions, a byte each.
class Model {
 public:
  explicit Model(const SoftFunction& function) : hardware_(function.registers) {
    vconfig_ = hardware_;
    for (unsigned i = 0; i < 64; ++i) bytes_[i] = {.owner = 1};
    for (const Row& row : header()) put(0, row);
    // vfio_bar_fixup(): there are no BARs and there is no ROM.
    for (unsigned i = 0x10; i < 0x28; ++i) bytes_[i].virt = 0xff;
    for (unsigned i = 0x30; i < 0x34; ++i) bytes_[i].virt = 0xff;
    int owner = 2;
    for (const auto* list : {&capabilities(), &extended()})
      for (const Capability& one : *list) add(one, ++owner);
    vconfig_[0x40 + 3] &= 0x07;  // vfio_pm's: no PME, neither possible, nor on, nor there
    vconfig_[0x44 + 1] &= 0x7e;
  }

  void write(unsigned at, std::span<const std::uint8_t> value) {
    for (std::size_t done = 0; done < value.size();) {
      const unsigned size = chunk(at + done, value.size() - done);
      std::uint8_t any = 0;
      for (unsigned i = 0; i < size; ++i) any |= bytes_[at + done + i].write;
      for (unsigned i = 0; i < size; ++i) {
        const std::size_t byte = at + done + i;
        const Byte& rule = bytes_[byte];
        if (rule.raw) {
          hardware_[byte] = value[done + i];
        } else if (any != 0) {
          change(vconfig_[byte], rule.write & rule.virt, value[done + i]);
          change(hardware_[byte], rule.write & ~rule.virt, value[done + i]);
        }
      }
      done += size;
    }
  }
  [[nodiscard]] std::uint8_t read(unsigned at) const {
    const std::uint8_t virt = bytes_[at].virt;
    return static_cast<std::uint8_t>((vconfig_[at] & virt) | (hardware_[at] & ~virt));
  }
  [[nodiscard]] const std::array<std::uint8_t, kSize>& hardware() const { return hardware_; }
  /// vfio_pci_cap_remaining_dword() and what follows it.
  [[nodiscard]] unsigned chunk(std::size_t at, std::size_t left) const {
    std::size_t count = 1;
    while ((at + count) % 4 != 0 && bytes_[at + count].owner == bytes_[at].owner) ++count;
    count = std::min(count, left);
    if (count >= 4 && at % 4 == 0) return 4;
    return count >= 2 && at % 2 == 0 ? 2 : 1;
  }

 private:
  struct Byte {
    std::uint8_t virt = 0, write = 0;
    bool raw = false;
    int owner = 0;
  };
  static void change(std::uint8_t& byte, int mask, std::uint8_t value) {
    byte = static_cast<std::uint8_t>((byte & ~mask) | (value & mask));
  }
  void put(unsigned at, const Row& row) {
    for (unsigned i = 0; i < row.bytes; ++i) {
      bytes_[at + row.offset + i].virt = static_cast<std::uint8_t>(row.virt >> 8 * i);
      bytes_[at + row.offset + i].write = static_cast<std::uint8_t>(row.write >> 8 * i);
    }
  }
  void add(const Capability& one, int owner) {
    for (unsigned i = 0; i < one.bytes; ++i)
      bytes_[one.at + i] = {.raw = one.access == Access::kRawWrite, .owner = owner};
    for (const Row& row : one.rows) put(one.at, row);
    if (one.access == Access::kTable) return;
    // vfio_direct_config_read(): links are the program's view.
    if (one.at >= 0x100)
      for (unsigned i = 0; i < 4; ++i) bytes_[one.at + i].virt = 0xff;
    else
      bytes_[one.at + 1].virt = 0xff;
  }

  std::array<std::uint8_t, kSize> hardware_{}, vconfig_{};
  std::array<Byte, kSize> bytes_ = [] {
    std::array<Byte, kSize> all{};
    for (Byte& byte : all) byte.raw = true;  // of no capability
    return all;
  }();
};

SoftFunction make_function() {
  SoftFunction function;
  for (unsigned i = 0; i < kSize; ++i)
    function.registers[i] = static_cast<std::uint8_t>(0x35 * i + (i >> 8));
  function.config_write(0x06, 2, 0x0010);
  function.config_write(0x04, 2, 0x0002);
  function.config_write(0x0e, 1, 0);
  function.config_write(0x34, 1, capabilities().front().at);
  for (unsigned at = 0x10; at < 0x28; ++at) function.registers[at] = 0;
  for (unsigned at = 0x30; at < 0x34; ++at) function.registers[at] = 0;
  for (const auto* list : {&capabilities(), &extended()})
    for (std::size_t i = 0; i < list->size(); ++i) {
      const Capability& one = (*list)[i];
      for (const auto& [offset, value] : one.registers)
        function.config_write(static_cast<std::uint16_t>(one.at + offset), 4, value);
      const unsigned next = i + 1 < list->size() ? (*list)[i + 1].at : 0;
      const auto at = static_cast<std::uint16_t>(one.at);
      if (one.at >= 0x100)
        function.config_write(at, 4, one.id | 1U << 16U | next << 20U);
      else
        function.config_write(at, 2, one.id | next << 8U);
    }
  // What sizes of capabilities hang on: MSI without masks, PCI-X version 0.
  function.config_write(0xc4 + 2, 2, 0);
  function.config_write(0x68 + 2, 2, 0);
  return function;
}

/// Device::config_write() without what registers do besides.
void write(VirtualConfig& config, SoftFunction& function, unsigned at,
           std::span<const std::uint8_t> value) {
  for (std::size_t done = 0; done < value.size();) {
    const auto offset = static_cast<std::uint16_t>(at + done);
    const unsigned size = config.chunk(offset, value.size() - done);
    std::uint32_t part = 0;
    std::memcpy(&part, value.data() + done, size);
    if (config.is_raw(offset))
      function.config_write(offset, size, part);
    else if (config.is_writable(offset, size))
      if (const auto out = config.write(offset, size, part))
        function.config_write(offset, size, *out);
    done += size;
  }
}

TEST(ConfigTables, ListIsSeenAsItIs) {
  SoftFunction function = make_function();
  VirtualConfig config(function);
  config.init();
  const Model model(function);
  for (unsigned at = 0; at < kSize; ++at)
    ASSERT_EQ(config.read(static_cast<std::uint16_t>(at), 1), model.read(at)) << std::hex << at;
}

TEST(ConfigTables, AccessesAreCutAsTheKernelCutsThem) {
  SoftFunction function = make_function();
  VirtualConfig config(function);
  config.init();
  const Model model(function);
  for (unsigned at = 0; at + 8 < kSize; ++at)
    for (std::size_t left = 1; left <= 8; ++left)
      ASSERT_EQ(config.chunk(static_cast<std::uint16_t>(at), left), model.chunk(at, left))
          << std::hex << at << " " << left;
}

TEST(ConfigTables, EveryWriteAtEveryOffsetOfEveryLengthIsAsTheTablesSay) {
  constexpr std::array<std::uint64_t, 6> kValues = {0,
                                                    ~0ULL,
                                                    0x5555'5555'5555'5555,
                                                    0xaaaa'aaaa'aaaa'aaaa,
                                                    0x0123'4567'89ab'cdef,
                                                    0x8000'0001'4000'0010};
  SoftFunction function = make_function();
  VirtualConfig config(function);
  config.init();
  Model model(function);
  for (unsigned at = 0; at < kSize; ++at)
    for (unsigned length = 1; length <= 8 && at + length <= kSize; ++length)
      for (const std::uint64_t value : kValues) {
        std::array<std::uint8_t, 8> bytes{};
        std::memcpy(bytes.data(), &value, bytes.size());
        const auto part = std::span(bytes).first(length);
        write(config, function, at, part);
        model.write(at, part);
        for (unsigned i = at & ~3U; i < std::min(kSize, at + length + 4); ++i) {
          ASSERT_EQ(config.read(static_cast<std::uint16_t>(i), 1), model.read(i))
              << std::hex << "byte " << i << " after " << value << ", " << length << " bytes at "
              << at;
          ASSERT_EQ(function.registers[i], model.hardware()[i])
              << std::hex << "register " << i << " after " << value << ", " << length
              << " bytes at " << at;
        }
      }
  for (unsigned i = 0; i < kSize; ++i) {
    ASSERT_EQ(function.registers[i], model.hardware()[i]) << std::hex << i;
    ASSERT_EQ(config.read(static_cast<std::uint16_t>(i), 1), model.read(i)) << std::hex << i;
  }
}

TEST(ConfigTables, ReadsOfAllLengthsAreTheirBytes) {
  SoftFunction function = make_function();
  VirtualConfig config(function);
  config.init();
  const Model model(function);
  for (unsigned at = 0; at < kSize; ++at)
    for (const unsigned size : {2U, 4U}) {
      if (at % size != 0 || model.chunk(at, size) != size) continue;
      std::uint32_t expected = 0;
      for (unsigned i = 0; i < size; ++i)
        expected |= static_cast<std::uint32_t>(model.read(at + i)) << 8 * i;
      ASSERT_EQ(config.read(static_cast<std::uint16_t>(at), size), expected) << std::hex << at;
    }
}

}  // namespace
}  // namespace teeio::vfio::config_tables_test
