#include <algorithm>
#include <optional>
#include <tuple>

#include "host/pci_tsm/pci_tsm.h"
#include "hw/capabilities.h"
#include "hw/find_capability.h"
#include "schedule/seeded_bug.h"

// Which functions belong to which DSM.

namespace teeio::tsm {
namespace {

constexpr std::uint32_t kDevCapTee = 1U << 30U;                        // PCI_EXP_DEVCAP_TEE
constexpr std::uint16_t kSecondaryBus = 0x19, kSubordinateBus = 0x1a;  // type 1 header

std::optional<hw::ExpressType> express_type(hw::PciFunction& function) {
  const auto express = hw::find_capability(function, hw::kCapabilityPcie);
  if (!express) return std::nullopt;
  return static_cast<hw::ExpressType>(
      function.config_read(static_cast<std::uint16_t>(*express + 2), 2) >> 4U & 0xfU);
}

}  // namespace

bool has_tee(hw::PciFunction& function) {
  const auto pcie = hw::find_capability(function, hw::kCapabilityPcie);
  return pcie && (function.config_read(static_cast<std::uint16_t>(*pcie + 4), 4) & kDevCapTee) != 0;
}

bool is_tsm_pf0(hw::PciFunction& function) {
  const auto type = express_type(function);
  if (!type || function.physical_function() != nullptr || function.bdf().function != 0)
    return false;
  if (*type != hw::ExpressType::kEndpoint && *type != hw::ExpressType::kUpstreamPort &&
      *type != hw::ExpressType::kIntegratedEndpoint)
    return false;
  return hw::find_extended_capability(function, hw::kExtendedIde).has_value() || has_tee(function);
}

PciTsm::Function* PciTsm::find(Bdf bdf) {
  const auto at = functions_.find(bdf);
  return at == functions_.end() ? nullptr : &at->second;
}

PciTsm::Function* PciTsm::dsm(Function& function) {
  if (schedule::seeded("vf-as-pf0")) return &function;
  return find(function.context->dsm);
}

Driver* PciTsm::driver(std::uint32_t number) {
  const auto at = tsms_.find(number);
  return at == tsms_.end() ? nullptr : at->second;
}

/// The functions of the card: same bus and device, and the VFs of those; of a switch's
/// upstream port also what is below it (pci_tsm_walk_fns(), find_dsm_dev()).
std::vector<PciTsm::Function*> PciTsm::functions_of(Bdf dsm) {
  std::uint32_t below_first = 1, below_last = 0;
  if (Function* host = find(dsm);
      host != nullptr && express_type(*host->function) == hw::ExpressType::kUpstreamPort) {
    below_first = host->function->config_read(kSecondaryBus, 1);
    below_last = host->function->config_read(kSubordinateBus, 1);
  }
  const auto home_of = [](const Function& function) {
    hw::PciFunction* physical = function.function->physical_function();
    return physical != nullptr ? physical->bdf() : function.function->bdf();
  };
  std::vector<Function*> result;
  for (auto& [bdf, function] : functions_) {
    const Bdf home = home_of(function);
    if (home.domain != dsm.domain) continue;
    const bool own = home.bus == dsm.bus && home.device == dsm.device;
    const bool below = home.bus >= below_first && home.bus <= below_last;
    if (own || (below && !is_tsm_pf0(*function.function))) result.push_back(&function);
  }
  // pci_tsm_walk_fns(): each physical function, then its virtual ones.
  std::ranges::sort(result, {}, [&](const Function* function) {
    const bool vf = function->function->physical_function() != nullptr;
    const Bdf home = home_of(*function);
    return std::tuple(home.bus, home.device, home.function, vf, function->function->bdf());
  });
  return result;
}

}  // namespace teeio::tsm
