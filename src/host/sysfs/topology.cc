#include "host/sysfs/topology.h"

#include <fmt/format.h>

#include "hw/find_capability.h"

namespace teeio::sysfs {
namespace {

constexpr std::uint16_t kSecondaryBus = 0x19;
constexpr std::uint16_t kSubordinateBus = 0x1a;

}  // namespace

std::string Topology::host_bridge(std::uint16_t domain) {
  return fmt::format("/sys/devices/pci{:04x}:00", domain);
}

const Host::Function* Topology::bridge_above(Bdf bdf) const {
  // The innermost one: the last whose range of buses has it.
  const Host::Function* found = nullptr;
  for (const Host::Function& bridge : functions_) {
    if (bridge.pci->bdf().domain != bdf.domain || !hw::is_bridge(*bridge.pci)) continue;
    const std::uint32_t secondary = bridge.pci->config_read(kSecondaryBus, 1);
    const std::uint32_t subordinate = bridge.pci->config_read(kSubordinateBus, 1);
    if (secondary != 0 && bdf.bus >= secondary && bdf.bus <= subordinate) found = &bridge;
  }
  return found;
}

std::string Topology::directory(Bdf bdf) const {
  const Host::Function* bridge = bridge_above(bdf);
  const bool below = bridge != nullptr && bridge->pci->bdf() < bdf;
  return (below ? directory(bridge->pci->bdf()) : host_bridge(bdf.domain)) + "/" + bdf.str();
}

std::vector<Bdf> Topology::virtual_functions(const Host::Function& physical) const {
  std::vector<Bdf> result;
  for (const Host::Function& function : functions_)
    if (function.pci->physical_function() == physical.pci) result.push_back(function.pci->bdf());
  return result;
}

}  // namespace teeio::sysfs
