#include "hw/find_capability.h"

#include "hw/config_space.h"

namespace teeio::hw {
namespace {
// A list cannot have more entries than fit; a longer walk is a loop.
constexpr int kMaxCapabilities = 48;
constexpr int kMaxExtendedCapabilities = 480;
}  // namespace

std::optional<std::uint16_t> find_capability(PciFunction& function, std::uint8_t id) {
  constexpr std::uint16_t kStatusHasList = 1U << 4U;
  if ((function.config_read(0x06, 2) & kStatusHasList) == 0) return std::nullopt;
  auto at = static_cast<std::uint16_t>(function.config_read(0x34, 1) & 0xfcU);
  for (int i = 0; i < kMaxCapabilities && at >= 0x40; ++i) {
    const std::uint32_t header = function.config_read(at, 2);
    if ((header & 0xffU) == id) return at;
    at = static_cast<std::uint16_t>(header >> 8U & 0xfcU);
  }
  return std::nullopt;
}

std::optional<std::uint16_t> find_extended_capability(PciFunction& function, std::uint16_t id) {
  std::uint16_t at = ConfigSpace::kExtendedStart;
  for (int i = 0; i < kMaxExtendedCapabilities && at >= ConfigSpace::kExtendedStart; ++i) {
    const std::uint32_t header = function.config_read(at, 4);
    if (header == 0 || header == 0xffffffffU) return std::nullopt;
    if ((header & 0xffffU) == id) return at;
    at = static_cast<std::uint16_t>(header >> 20U & 0xffcU);
  }
  return std::nullopt;
}

bool is_bridge(PciFunction& function) { return (function.config_read(0x0e, 1) & 0x7fU) == 1; }

}  // namespace teeio::hw
