#include "host/sysfs/topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "hw/find_capability.h"

namespace teeio::sysfs {
namespace {

constexpr std::uint16_t kSecondaryBus = 0x19;
constexpr std::uint16_t kSubordinateBus = 0x1a;

}  // namespace

std::string Topology::host_bridge(std::uint16_t domain) {
  return fmt::format("/sys/devices/pci{:04x}:00", domain);
}

Topology::Topology(std::vector<Host::Function> functions) : functions_(std::move(functions)) {
  for (const Host::Function& function : functions_) {
    hw::PciFunction& pci = *function.pci;
    if (hw::PciFunction* physical = pci.physical_function(); physical != nullptr)
      virtual_functions_[physical].push_back(&pci);
    if (!hw::is_bridge(pci)) continue;
    const std::uint32_t secondary = pci.config_read(kSecondaryBus, 1);
    if (secondary != 0)
      bridges_.push_back({&function, secondary, pci.config_read(kSubordinateBus, 1)});
  }
}

const Host::Function* Topology::find(Bdf bdf) const {
  const auto at = std::ranges::lower_bound(
      functions_, bdf, {}, [](const Host::Function& function) { return function.pci->bdf(); });
  return at != functions_.end() && at->pci->bdf() == bdf ? &*at : nullptr;
}

const Host::Function* Topology::bridge_above(Bdf bdf) const {
  // The innermost one: the last whose range of buses has it.
  const auto at = std::ranges::find_if(std::views::reverse(bridges_), [&](const Bridge& bridge) {
    return bridge.function->pci->bdf().domain == bdf.domain && bdf.bus >= bridge.secondary &&
           bdf.bus <= bridge.subordinate;
  });
  return at == bridges_.rend() ? nullptr : at->function;
}

std::uint8_t Topology::bus_behind(Bdf bdf) const {
  const auto at = std::ranges::find_if(
      bridges_, [bdf](const Bridge& bridge) { return bridge.function->pci->bdf() == bdf; });
  return at == bridges_.end() ? std::uint8_t{0} : static_cast<std::uint8_t>(at->secondary);
}

std::string Topology::directory(Bdf bdf) const {
  const Host::Function* bridge = bridge_above(bdf);
  const bool below = bridge != nullptr && bridge->pci->bdf() < bdf;
  return (below ? directory(bridge->pci->bdf()) : host_bridge(bdf.domain)) + "/" + bdf.str();
}

const std::vector<hw::PciFunction*>& Topology::virtual_functions(
    const Host::Function& physical) const {
  static const std::vector<hw::PciFunction*> none;
  const auto at = virtual_functions_.find(physical.pci);
  return at == virtual_functions_.end() ? none : at->second;
}

bool Topology::is_alone_on_bus(Bdf bdf) const {
  // In order of BDF, the others of its bus are its neighbours.
  const Host::Function* function = find(bdf);
  if (function == nullptr) return false;
  const auto shares_bus = [&](const Host::Function& other) {
    const Bdf at = other.pci->bdf();
    return at.domain == bdf.domain && at.bus == bdf.bus;
  };
  return (function == &functions_.front() || !shares_bus(*(function - 1))) &&
         (function == &functions_.back() || !shares_bus(*(function + 1)));
}

}  // namespace teeio::sysfs
