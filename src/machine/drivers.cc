#include <algorithm>
#include <optional>

#include "hw/capabilities.h"
#include "machine/parts.h"
#include "object/waits_for_closes.h"

// Functions that leave the bus and come back, and the driver that holds PFs.

namespace teeio::machine {

bool Machine::Impl::has_native_driver() {
  return std::ranges::any_of(config.cards, [](const CardConfig& card) {
    return card.driver == CardConfig::Driver::kNative;
  });
}

/// pci_dma_configure(): a host's driver needs the DMA of its group. vfio-pci and pcieport
/// leave it to others (driver_managed_dma).
Result<void> Machine::Impl::bind_native(Bdf bdf) {
  const DeviceLock device(*this, bdf);
  std::uint32_t iommu = 0, group = 0;
  {
    const schedule::ReadLock lock(bus_lock);
    Slot* entry = slot(bdf);
    if (entry == nullptr) return fail(Errno::kNoDev, "the function has left the bus");
    if (entry->vfio != nullptr || entry->native)
      return fail(Errno::kBusy, "the function has a driver already");
    iommu = entry->iommu;
    group = entry->group;
  }
  TEEIO_TRY(iommu_drivers[iommu]->use_default_domain(group));
  {
    const schedule::WriteLock lock(bus_lock);
    slot(bdf)->native = true;
  }
  claim_memory(bdf);
  return {};
}

void Machine::Impl::leave_native(Bdf bdf) {
  std::uint32_t iommu = 0, group = 0;
  {
    const schedule::ReadLock lock(bus_lock);
    const Slot* const entry = slot(bdf);
    if (entry == nullptr || !entry->native) return;
    iommu = entry->iommu;
    group = entry->group;
  }
  {
    const schedule::WriteLock lock(bus_lock);
    slot(bdf)->native = false;
  }
  iommu_drivers[iommu]->unuse_default_domain(group);
}

/// Its VFs leave with it, as most drivers' do.
Result<void> Machine::Impl::unbind_native(Bdf bdf) {
  const DeviceLock device(*this, bdf);
  {
    const schedule::ReadLock lock(bus_lock);
    const Slot* const entry = slot(bdf);
    if (entry == nullptr || !entry->native)
      return fail(Errno::kNoDev, "the function has left the bus, or has another driver");
  }
  if (!vfs_of(bdf).empty()) TEEIO_TRY(remove_vfs(bdf));
  leave_native(bdf);
  return {};
}

/// pci_rescan_bus(). VFs that a PF still has enabled are not its new self's: sriov_init().
std::vector<Bdf> Machine::Impl::rescan(std::optional<Bdf> bus) {
  std::optional<object::WaitsForCloses> waits(std::in_place);
  const schedule::Lock alone(rescan_remove_lock);
  waits.reset();
  std::vector<hw::PciFunction*> found;
  {
    const schedule::ReadLock lock(bus_lock);
    const auto is_below = [bus](Bdf bdf) {  // all are behind root ports
      return !bus || (bdf.domain == bus->domain && (bus->bus == 0 || bdf.bus == bus->bus));
    };
    for (const auto& [bdf, entry] : absent)
      if (entry.function->physical_function() == nullptr && is_below(bdf))
        found.push_back(entry.function);
  }
  std::vector<Bdf> arrived;
  for (hw::PciFunction* function : found) {
    const DeviceLock device(*this, function->bdf());
    if (!arrive(function->bdf())) continue;
    hw::set_virtual_functions(*function, 0);
    arrived.push_back(function->bdf());
  }
  return arrived;
}

std::vector<vfio::Bus::Neighbour> Machine::Impl::on_bus_of(Bdf bdf) {
  const schedule::ReadLock lock(bus_lock);
  std::vector<Neighbour> found;
  for (const auto& [other, entry] : slots)
    if (other.domain == bdf.domain && other.bus == bdf.bus)
      found.push_back({.bdf = other, .device = entry.vfio.get(), .group = entry.group});
  return found;
}

std::vector<vfio::Bus::Neighbour> Machine::Impl::in_group(std::uint32_t group) {
  const schedule::ReadLock lock(bus_lock);
  std::vector<Neighbour> found;
  for (const auto& [bdf, entry] : slots)
    if (entry.group == group)
      found.push_back({.bdf = bdf, .device = entry.vfio.get(), .group = group});
  return found;
}

}  // namespace teeio::machine
