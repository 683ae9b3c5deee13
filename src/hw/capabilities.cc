#include "hw/capabilities.h"

#include "hw/find_capability.h"

namespace teeio::hw {
namespace {

constexpr std::uint16_t kDeviceStatus = 0x06;
constexpr std::uint16_t kStatusErrors = 0xf900;  // write 1 to clear

/// Bits 7:0 of the command register that software may write: memory, bus mastering, parity.
constexpr std::uint32_t kCommandLow = kCommandMemorySpace | kCommandBusMaster | 0x40U;

constexpr std::uint16_t kIoRange = 0x1c;  // of a bridge
constexpr std::uint32_t kBarIo = 0x1;
constexpr std::uint32_t kBar64 = 0x4;
constexpr std::uint32_t kBarPrefetchable = 0x8;

std::uint16_t at(std::uint16_t base, unsigned offset) {
  return static_cast<std::uint16_t>(base + offset);
}

void add_identity(ConfigSpace& config, const Identity& identity, std::uint8_t header_type) {
  config.set(0x00, 2, identity.vendor);
  config.set(0x02, 2, identity.device);
  config.set(0x08, 1, identity.revision);
  config.set(0x08, 4, identity.class_code << 8U | identity.revision);
  config.set(0x0e, 1, header_type | (identity.multi_function ? 0x80U : 0U));
  config.set_writable(0x0c, 1, 0xff);  // cache line size
  config.set_writable(0x3c, 1, 0xff);  // interrupt line
  config.set_writable(kCommand, 2, kCommandIntxDisable | 0x0100U | kCommandLow);
  config.set_write_one_clears(kDeviceStatus, 2, kStatusErrors);
}

void add_bar(ConfigSpace& config, unsigned number, const Bar& bar) {
  const std::uint16_t low = at(kFirstBar, 4 * number);
  const std::uint64_t mask = ~(bar.size - 1);
  const std::uint32_t type = bar.kind == Bar::Kind::kIo
                                 ? kBarIo
                                 : (bar.kind == Bar::Kind::kMemory64 ? kBar64 : 0U) |
                                       (bar.prefetchable ? kBarPrefetchable : 0U);
  config.set(low, 4, static_cast<std::uint32_t>(raw(bar.base)) | type);
  config.set_writable(low, 4, static_cast<std::uint32_t>(mask));
  if (bar.kind != Bar::Kind::kMemory64) return;
  config.set(at(low, 4), 4, static_cast<std::uint32_t>(raw(bar.base) >> 32U));
  config.set_writable(at(low, 4), 4, static_cast<std::uint32_t>(mask >> 32U));
}

/// Base and limit registers of a bridge: bits 31:20 of the address. A closed
/// range has its base above its limit.
void add_range(ConfigSpace& config, std::uint16_t offset, BridgeRange range, std::uint32_t type) {
  const bool closed = range.base == 0 && range.last == 0;
  const std::uint64_t base = closed ? 0xfff0'0000 : range.base;
  const std::uint64_t last = closed ? 0 : range.last;
  config.set(offset, 2, static_cast<std::uint32_t>(base >> 16U & 0xfff0U) | type);
  config.set(at(offset, 2), 2, static_cast<std::uint32_t>(last >> 16U & 0xfff0U) | type);
  config.set_writable(offset, 4, 0xfff0'fff0);
}

/// Bits 15:12 of base and limit, 16-bit decoding (7.5.1.3.6).
void add_io_range(ConfigSpace& config, BridgeRange range) {
  const bool closed = range.last == 0;
  config.set(kIoRange, 1, closed ? 0xf0 : static_cast<std::uint32_t>(range.base >> 8U & 0xf0U));
  config.set(at(kIoRange, 1), 1, closed ? 0 : static_cast<std::uint32_t>(range.last >> 8U & 0xf0U));
  if (closed) return;
  config.set_writable(kIoRange, 2, 0xf0f0);
  config.set_writable(kCommand, 1, kCommandLow | kCommandIoSpace);
}

}  // namespace

void add_endpoint_header(ConfigSpace& config, const Identity& identity, std::span<const Bar> bars) {
  add_identity(config, identity, 0);
  config.set(0x2c, 2, identity.subsystem_vendor);
  config.set(0x2e, 2, identity.subsystem);
  for (unsigned number = 0; number < bars.size(); ++number) {
    if (bars[number].kind == Bar::Kind::kNone) continue;
    add_bar(config, number, bars[number]);
    if (bars[number].kind == Bar::Kind::kIo)
      config.set_writable(kCommand, 1, kCommandLow | kCommandIoSpace);
  }
}

void add_rom_bar(ConfigSpace& config, const Bar& rom) {
  config.set(kRomBar, 4, static_cast<std::uint32_t>(raw(rom.base)));
  config.set_writable(kRomBar, 4, static_cast<std::uint32_t>(~(rom.size - 1)) | kRomEnable);
}

std::optional<BridgeRange> bridge_io_window(PciFunction& bridge) {
  constexpr std::uint64_t kGranule = 1U << 12U;
  if (!is_bridge(bridge)) return std::nullopt;
  const std::uint64_t base = std::uint64_t{bridge.config_read(kIoRange, 1) & 0xf0U} << 8U;
  const std::uint64_t limit = std::uint64_t{bridge.config_read(kIoRange + 1, 1) & 0xf0U} << 8U;
  if (limit == 0 || base > limit) return std::nullopt;
  return BridgeRange{.base = base, .last = limit + kGranule - 1};
}

void add_bridge_header(ConfigSpace& config, const BridgeHeader& header) {
  constexpr std::uint16_t kBusNumbers = 0x18;
  constexpr std::uint16_t kMemory = 0x20;
  constexpr std::uint16_t kPrefetchable = 0x24;
  constexpr std::uint32_t kPrefetchable64 = 1;
  add_identity(config, header.identity, 1);
  config.set(kBusNumbers, 4,
             header.primary | static_cast<std::uint32_t>(header.secondary) << 8U |
                 static_cast<std::uint32_t>(header.subordinate) << 16U);
  config.set_writable(kBusNumbers, 4, 0x00ff'ffff);
  add_io_range(config, header.io);
  add_range(config, kMemory, header.memory, 0);
  add_range(config, kPrefetchable, header.prefetchable, kPrefetchable64);
  config.set(at(kPrefetchable, 4), 4, static_cast<std::uint32_t>(header.prefetchable.base >> 32U));
  config.set(at(kPrefetchable, 8), 4, static_cast<std::uint32_t>(header.prefetchable.last >> 32U));
  config.set_writable(at(kPrefetchable, 4), 4, 0xffff'ffff);
  config.set_writable(at(kPrefetchable, 8), 4, 0xffff'ffff);
  config.set_writable(0x3e, 2, 0x0043);  // bridge control: parity, SERR, bus reset
}

std::vector<BridgeRange> bridge_windows(PciFunction& bridge) {
  // PCIe Base Spec 7.5.1.3.8 and 7.5.1.3.9.
  constexpr std::uint16_t kMemory = 0x20, kPrefetchable = 0x24, kUpperBase = 0x28,
                          kUpperLimit = 0x2c;
  constexpr std::uint32_t kAddress = 0xfff0;  // bits 31:20
  constexpr std::uint64_t kGranule = 1U << 20U;
  std::vector<BridgeRange> windows;
  if (!is_bridge(bridge)) return windows;
  const auto add = [&](std::uint16_t reg, std::uint64_t upper_base, std::uint64_t upper_limit) {
    const std::uint32_t low = bridge.config_read(reg, 4);
    const std::uint64_t base = upper_base << 32U | std::uint64_t{low & kAddress} << 16U;
    const std::uint64_t limit = upper_limit << 32U | std::uint64_t{low >> 16U & kAddress} << 16U;
    if (limit != 0 && base <= limit)
      windows.push_back({.base = base, .last = limit + kGranule - 1});
  };
  add(kMemory, 0, 0);
  add(kPrefetchable, bridge.config_read(kUpperBase, 4), bridge.config_read(kUpperLimit, 4));
  return windows;
}

std::uint16_t add_power_management(ConfigSpace& config) {
  const std::uint16_t pm = config.add_capability(kCapabilityPowerManagement, 8);
  config.set(at(pm, 2), 2, 3);                       // version 1.2
  config.set(at(pm, kPowerControl), 2, 0x8);         // no soft reset
  config.set_writable(at(pm, kPowerControl), 2, 3);  // D-state
  return pm;
}

std::uint16_t add_pci_express(ConfigSpace& config, const ExpressOptions& options) {
  constexpr std::uint32_t kPayload256 = 1, kExtendedTag = 0x20, kRoleBasedErrors = 0x8000;
  constexpr std::uint32_t kLink32Gt = 5, kLinkX16 = 16U << 4U, kLinkActive = 0x2000;
  constexpr std::uint32_t kSpeedsTo32Gt = 0x3e;
  const std::uint16_t cap = config.add_capability(kCapabilityPcie, 0x3c);
  config.set(at(cap, 2), 2, 2U | static_cast<std::uint32_t>(options.type) << 4U);
  config.set(at(cap, kExpressDeviceCapabilities), 4,
             kPayload256 | kExtendedTag | kRoleBasedErrors |
                 (options.function_level_reset ? kDeviceCapabilityFlr : 0U) |
                 (options.tee_io ? kDeviceCapabilityTeeIo : 0U));
  config.set(at(cap, kExpressDeviceControl), 2, 0x2810);  // 512-byte reads, relaxed, no-snoop
  config.set_writable(at(cap, kExpressDeviceControl), 2, 0x7fff);
  config.set_write_one_clears(at(cap, 0x0a), 2, 0x000f);
  config.set(at(cap, 0x0c), 4, kLink32Gt | kLinkX16);
  config.set_writable(at(cap, 0x10), 2, 0x0fdb);
  config.set(at(cap, 0x12), 2, kLink32Gt | kLinkX16 | kLinkActive);
  config.set(at(cap, 0x24), 4, 0x0000'0010);  // completion time-out can be disabled
  config.set_writable(at(cap, 0x28), 2, 0x001f);
  config.set(at(cap, 0x2c), 4, kSpeedsTo32Gt);
  config.set(at(cap, 0x30), 2, kLink32Gt);
  config.set_writable(at(cap, 0x30), 2, 0x000f);
  return cap;
}

bool flr_requested(std::uint16_t express, std::uint16_t offset, unsigned size_bytes,
                   std::uint32_t value) {
  const int flr_byte = express + kExpressDeviceControl + 1;
  if (offset > flr_byte || offset + static_cast<int>(size_bytes) <= flr_byte) return false;
  return (value >> (8 * (flr_byte - offset)) & 0x80U) != 0;
}

void set_virtual_functions(PciFunction& pf, std::uint16_t count) {
  constexpr std::uint16_t kSriov = 0x10, kControl = 0x08, kNumber = 0x10;
  constexpr std::uint32_t kEnables = 1U << 0U | 1U << 3U;  // VFs and their memory
  const auto sriov = find_extended_capability(pf, kSriov);
  if (!sriov) return;
  const auto control = static_cast<std::uint16_t>(*sriov + kControl);
  const auto number = static_cast<std::uint16_t>(*sriov + kNumber);
  const std::uint32_t now = pf.config_read(control, 2);
  if (count != 0) pf.config_write(number, 2, count);
  pf.config_write(control, 2, count != 0 ? now | kEnables : now & ~kEnables);
  if (count == 0) pf.config_write(number, 2, 0);
}

}  // namespace teeio::hw
