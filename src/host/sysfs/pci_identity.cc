#include "host/sysfs/pci_identity.h"

#include <fmt/format.h>

#include <array>

#include "hw/capabilities.h"
#include "hw/find_capability.h"

namespace teeio::sysfs {
namespace {

constexpr std::uint16_t kExtendedSerial = 0x03;
constexpr std::uint16_t kExtendedSriov = 0x10;
constexpr std::uint32_t kNoSoftReset = 1U << 3U;  // PCI_PM_CTRL_NO_SOFT_RESET

// Resource flags; bits 3:0 are those of the BAR register itself.
constexpr std::uint64_t kIo = 0x100, kMemory = 0x200, kPrefetch = 0x2000, kReadOnly = 0x4000;
constexpr std::uint64_t kSizeAligned = 0x40000, kMemory64 = 0x100000;

std::uint32_t get(hw::PciFunction& function, unsigned offset, unsigned size) {
  return function.config_read(static_cast<std::uint16_t>(offset), size);
}

std::string resource_line(std::uint64_t start, std::uint64_t size, std::uint64_t flags) {
  if (size == 0) start = flags = 0;
  const std::uint64_t last = size == 0 ? 0 : start + size - 1;
  return fmt::format("0x{:016x} 0x{:016x} 0x{:016x}\n", start, last, flags);
}

std::uint64_t bar_flags(bool is_64_bit, bool prefetchable) {
  std::uint64_t flags = kMemory | kSizeAligned;
  if (is_64_bit) flags |= kMemory64 | 0x4;
  if (prefetchable) flags |= kPrefetch | 0x8;
  return flags;
}

std::string bar_line(const hw::Bar& bar, std::uint64_t size) {
  if (bar.kind == hw::Bar::Kind::kIo)
    return resource_line(raw(bar.base), size, kIo | kSizeAligned | 0x1);
  return resource_line(raw(bar.base), size,
                       bar_flags(bar.kind == hw::Bar::Kind::kMemory64, bar.prefetchable));
}

/// Linux: pci_read_bases(), whose bit 0 is the register's enable (IORESOURCE_ROM_ENABLE).
std::string rom_line(hw::PciFunction& function) {
  const hw::Bar* const rom = function.rom();
  if (rom == nullptr) return resource_line(0, 0, 0);
  return resource_line(raw(rom->base), rom->size,
                       kMemory | kPrefetch | kReadOnly | kSizeAligned |
                           (get(function, hw::kRomBar, 4) & hw::kRomEnable));
}

/// Windows of a bridge: I/O, memory, prefetchable, unused.
std::string window_lines(hw::PciFunction& function) {
  const std::uint64_t memory = get(function, 0x20, 2) & 0xfff0U;
  const std::uint64_t memory_last = get(function, 0x22, 2) & 0xfff0U;
  const std::uint32_t low = get(function, 0x24, 2);
  const std::uint64_t prefetch =
      std::uint64_t{get(function, 0x28, 4)} << 32U | (std::uint64_t{low} & 0xfff0U) << 16U;
  const std::uint64_t prefetch_last = std::uint64_t{get(function, 0x2c, 4)} << 32U |
                                      (std::uint64_t{get(function, 0x26, 2)} & 0xfff0U) << 16U |
                                      0xfffffU;
  const bool is_64_bit = (low & 0xfU) == 1;
  const std::uint64_t memory_size =
      memory == 0 || memory_last < memory ? 0 : ((memory_last - memory) << 16U) + 0x100000;
  const std::uint64_t prefetch_size =
      prefetch == 0 || prefetch_last < prefetch ? 0 : prefetch_last - prefetch + 1;
  const auto io = hw::bridge_io_window(function).value_or(hw::BridgeRange{});
  const std::uint64_t io_size = io.last == 0 ? 0 : io.last - io.base + 1;
  return resource_line(io.base, io_size, kIo) + resource_line(memory << 16U, memory_size, kMemory) +
         resource_line(prefetch, prefetch_size,
                       kMemory | kPrefetch | (is_64_bit ? kMemory64 | 1U : 0U)) +
         resource_line(0, 0, 0);
}

/// The six VF BARs of a PF: each covers the BARs of all VFs that there can be.
std::string vf_windows(hw::PciFunction& function, hw::PciFunction* first_vf) {
  const auto vfs = sriov(function);
  std::string text;
  for (std::size_t i = 0; i < hw::kBarCount; ++i) {
    const hw::Bar bar = vfs && first_vf != nullptr ? first_vf->bars().at(i) : hw::Bar{};
    const std::uint64_t size = bar.kind == hw::Bar::Kind::kNone ? 0 : bar.size * vfs->total_vfs;
    text += bar_line(bar, size);
  }
  return text;
}

std::string_view speed_name(std::uint32_t code) {
  constexpr std::array<std::string_view, 7> kNames = {
      "Unknown",        "2.5 GT/s PCIe",  "5.0 GT/s PCIe", "8.0 GT/s PCIe",
      "16.0 GT/s PCIe", "32.0 GT/s PCIe", "64.0 GT/s PCIe"};
  return code < kNames.size() ? kNames.at(code) : kNames.front();
}

}  // namespace

PciIdentity pci_identity(hw::PciFunction& function) {
  PciIdentity id;
  hw::PciFunction* physical = function.physical_function();
  id.vendor = static_cast<std::uint16_t>(get(physical != nullptr ? *physical : function, 0, 2));
  id.device = static_cast<std::uint16_t>(get(function, 2, 2));
  if (physical != nullptr)
    if (const auto vfs = sriov(*physical)) id.device = vfs->vf_device;
  const std::uint32_t class_and_revision = get(function, 8, 4);
  id.class_code = class_and_revision >> 8U;
  id.revision = static_cast<std::uint8_t>(class_and_revision);
  if (!hw::is_bridge(function)) {
    id.subsystem_vendor = static_cast<std::uint16_t>(get(function, 0x2c, 2));
    id.subsystem_device = static_cast<std::uint16_t>(get(function, 0x2e, 2));
  }
  return id;
}

std::string modalias(const PciIdentity& id) {
  return fmt::format("pci:v{:08X}d{:08X}sv{:08X}sd{:08X}bc{:02X}sc{:02X}i{:02x}", id.vendor,
                     id.device, id.subsystem_vendor, id.subsystem_device, id.class_code >> 16U,
                     id.class_code >> 8U & 0xffU, id.class_code & 0xffU);
}

std::string uevent(hw::PciFunction& function, std::string_view driver) {
  const PciIdentity id = pci_identity(function);
  const std::string driver_line = driver.empty() ? "" : fmt::format("DRIVER={}\n", driver);
  return fmt::format(
      "{}PCI_CLASS={:04X}\nPCI_ID={:04X}:{:04X}\nPCI_SUBSYS_ID={:04X}:{:04X}\n"
      "PCI_SLOT_NAME={}\nMODALIAS={}\n",
      driver_line, id.class_code, id.vendor, id.device, id.subsystem_vendor, id.subsystem_device,
      function.bdf().str(), modalias(id));
}

std::string resources(hw::PciFunction& function, hw::PciFunction* first_vf) {
  std::string text;
  for (const hw::Bar& bar : function.bars())
    text += bar_line(bar, bar.kind == hw::Bar::Kind::kNone ? 0 : bar.size);
  text += rom_line(function);
  text += vf_windows(function, first_vf);
  return hw::is_bridge(function) ? text + window_lines(function) : text;
}

std::optional<Link> pci_link(hw::PciFunction& function) {
  const auto express = hw::find_capability(function, hw::kCapabilityPcie);
  if (!express) return std::nullopt;
  const std::uint32_t capabilities = get(function, *express + 0x0cU, 4);
  const std::uint32_t status = get(function, *express + 0x12U, 2);
  constexpr unsigned kWidthUnknown = 255;
  const unsigned max_width = capabilities >> 4U & 0x3fU;
  return Link{.max_speed = std::string(speed_name(capabilities & 0xfU)),
              .speed = std::string(speed_name(status & 0xfU)),
              .max_width = max_width == 0 ? kWidthUnknown : max_width,
              .width = status >> 4U & 0x3fU};
}

std::string_view power_state(hw::PciFunction& function) {
  constexpr std::array<std::string_view, 4> kNames = {"D0", "D1", "D2", "D3hot"};
  const auto power = hw::find_capability(function, hw::kCapabilityPowerManagement);
  if (!power) return "unknown";
  return kNames.at(get(function, *power + std::uint32_t{hw::kPowerControl}, 2) & 3U);
}

std::optional<std::string> serial_number(hw::PciFunction& function) {
  const auto at = hw::find_extended_capability(function, kExtendedSerial);
  if (!at) return std::nullopt;
  const std::uint64_t serial =
      std::uint64_t{get(function, *at + 8U, 4)} << 32U | get(function, *at + 4U, 4);
  if (serial == 0) return std::nullopt;
  std::string text;
  for (unsigned shift = 64; shift != 0; shift -= 8)
    text += fmt::format("{:02x}{}", serial >> (shift - 8) & 0xffU, shift == 8 ? "" : "-");
  return text;
}

std::vector<std::string> reset_methods(hw::PciFunction& function, bool alone) {
  if (hw::is_bridge(function)) return {};
  std::vector<std::string> methods;
  const auto express = hw::find_capability(function, hw::kCapabilityPcie);
  if (express && (get(function, *express + std::uint32_t{hw::kExpressDeviceCapabilities}, 4) &
                  hw::kDeviceCapabilityFlr) != 0)
    methods.emplace_back("flr");
  const auto power = hw::find_capability(function, hw::kCapabilityPowerManagement);
  if (power && (get(function, *power + std::uint32_t{hw::kPowerControl}, 2) & kNoSoftReset) == 0)
    methods.emplace_back("pm");
  if (alone && function.physical_function() == nullptr) methods.emplace_back("bus");
  return methods;
}

std::optional<Sriov> sriov(hw::PciFunction& function) {
  const auto at = hw::find_extended_capability(function, kExtendedSriov);
  if (!at) return std::nullopt;
  const auto word = [&](unsigned reg) {
    return static_cast<std::uint16_t>(get(function, *at + reg, 2));
  };
  const std::uint16_t total = word(0x0e);
  if (total == 0) return std::nullopt;
  return Sriov{.total_vfs = total,
               .num_vfs = word(0x10),
               .offset = word(0x14),
               .stride = word(0x16),
               .vf_device = word(0x1a)};
}

}  // namespace teeio::sysfs
