#include "hw/pasid_capability.h"

#include "hw/find_capability.h"

namespace teeio::hw {
namespace {

constexpr std::uint16_t kCapability = 4;
constexpr std::uint16_t kControl = 6;
constexpr unsigned kWidth = 8;  // shift: 12:8 of the capability
constexpr std::uint32_t kWidthMask = 0x1f;
constexpr std::uint32_t kEnable = 1;

std::uint16_t at(std::uint16_t capability, std::uint16_t offset) {
  return static_cast<std::uint16_t>(capability + offset);
}

}  // namespace

std::uint16_t add_pasid_capability(ConfigSpace& config, unsigned width) {
  const std::uint16_t offset = config.add_extended_capability(kExtendedPasid, 1, 8);
  config.set(at(offset, kCapability), 2, width << kWidth);
  config.set_writable(at(offset, kControl), 2, kEnable);
  return offset;
}

bool pasid_enabled(const ConfigSpace& config, std::uint16_t offset) {
  return (config.read(at(offset, kControl), 2) & kEnable) != 0;
}

void disable_pasid(ConfigSpace& config, std::uint16_t offset) {
  config.set(at(offset, kControl), 2, 0);
}

unsigned pasid_width(PciFunction& function) {
  if (PciFunction* pf = function.physical_function(); pf != nullptr) return pasid_width(*pf);
  const auto offset = find_extended_capability(function, kExtendedPasid);
  if (!offset) return 0;
  return function.config_read(at(*offset, kCapability), 2) >> kWidth & kWidthMask;
}

void enable_pasid(PciFunction& function) {
  if (function.physical_function() != nullptr) return;
  if (const auto offset = find_extended_capability(function, kExtendedPasid))
    function.config_write(at(*offset, kControl), 2, kEnable);
}

bool pasid_enabled(PciFunction& function) {
  if (function.physical_function() != nullptr) return false;
  const auto offset = find_extended_capability(function, kExtendedPasid);
  return offset && (function.config_read(at(*offset, kControl), 2) & kEnable) != 0;
}

}  // namespace teeio::hw
