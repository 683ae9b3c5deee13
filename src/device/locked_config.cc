#include "device/locked_config.h"

#include "hw/capabilities.h"

namespace teeio::device {
namespace {

constexpr std::uint32_t kLockedPowerState = 3;
constexpr unsigned kMsixControl = 2;
constexpr std::uint32_t kLinkFormat = 0x03e0;  // bits 7:5, 8 and 9 of Device Control

std::uint16_t at(unsigned base, unsigned offset) {
  return static_cast<std::uint16_t>(base + offset);
}

}  // namespace

LockedRegisters LockedRegisters::read(const hw::ConfigSpace& config, const Place& place) {
  LockedRegisters now{
      .command = config.read(hw::kCommand, 2),
      .power_state = config.read(at(place.power, hw::kPowerControl), 2) & kLockedPowerState,
      .device_control = config.read(at(place.express, hw::kExpressDeviceControl), 2) & kLinkFormat,
      .msix_control = config.read(at(place.msix, kMsixControl), 2)};
  for (unsigned i = 0; i < now.bars.size(); ++i)
    now.bars.at(i) = config.read(at(hw::kFirstBar, 4 * i), 4);
  return now;
}

std::optional<std::string_view> lock_violation(const LockedRegisters& before,
                                               const LockedRegisters& after, bool msix_lock) {
  const std::uint32_t cleared = before.command & ~after.command;
  if ((cleared & hw::kCommandMemorySpace) != 0) return "memory-space-cleared";
  if ((cleared & hw::kCommandBusMaster) != 0) return "bus-master-cleared";
  if (before.bars != after.bars) return "bar-changed";
  if (before.power_state != after.power_state) return "power-state-changed";
  if (before.device_control != after.device_control) return "device-control-changed";
  if (msix_lock && before.msix_control != after.msix_control) return "msix-changed";
  return std::nullopt;
}

}  // namespace teeio::device
