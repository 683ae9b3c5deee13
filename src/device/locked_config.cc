#include "device/locked_config.h"

#include "hw/capabilities.h"

namespace teeio::device {
namespace {

constexpr std::uint32_t kPowerStateMask = 3;
constexpr std::uint16_t kMsixControl = 2;

std::uint16_t at(std::uint16_t base, unsigned offset) {
  return static_cast<std::uint16_t>(base + offset);
}

}  // namespace

std::optional<std::string_view> lock_violation(const hw::ConfigSpace& before,
                                               const hw::ConfigSpace& after,
                                               const LockedRegisters& registers) {
  const std::uint32_t cleared = before.read(hw::kCommand, 2) & ~after.read(hw::kCommand, 2);
  if ((cleared & hw::kCommandMemorySpace) != 0) return "memory-space-cleared";
  if ((cleared & hw::kCommandBusMaster) != 0) return "bus-master-cleared";
  for (unsigned i = 0; registers.bars && i < hw::kBarCount; ++i) {
    const std::uint16_t bar = at(hw::kFirstBar, 4 * i);
    if (before.read(bar, 4) != after.read(bar, 4)) return "bar-changed";
  }
  const std::uint16_t power = at(registers.power, hw::kPowerControl);
  if (((before.read(power, 2) ^ after.read(power, 2)) & kPowerStateMask) != 0)
    return "power-state-changed";
  const std::uint16_t msix = at(registers.msix, kMsixControl);
  if (registers.msix_locked && before.read(msix, 2) != after.read(msix, 2)) return "msix-changed";
  return std::nullopt;
}

}  // namespace teeio::device
