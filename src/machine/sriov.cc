#include "host/sysfs/pci_identity.h"
#include "hw/capabilities.h"
#include "machine/parts.h"

// The coming and going of VFs. Source: Linux drivers/pci/iov.c, sriov_enable() and
// sriov_disable(); drivers/vfio/pci/vfio_pci_core.c, vfio_pci_core_sriov_configure().

namespace teeio::machine {
std::vector<Bdf> Machine::Impl::vfs_of(Bdf pf) {
  const schedule::ReadLock lock(bus_lock);
  std::vector<Bdf> found;
  for (const auto& [bdf, entry] : slots) {
    hw::PciFunction* physical = entry.function->physical_function();
    if (physical != nullptr && physical->bdf() == pf) found.push_back(bdf);
  }
  return found;
}

/// Linux: pci_stop_dev(), with the driver's part, and pci_destroy_dev(), with
/// pci_tsm_destroy() (drivers/pci/remove.c).
void Machine::Impl::leave(Bdf bdf) {
  claim_memory(bdf);  // pci_remove_resource_files()
  leave_vfio(bdf);
  leave_native(bdf);
  pci_tsm.device_removed(bdf);
  {
    const schedule::WriteLock lock(bus_lock);
    const auto entry = slots.find(bdf);
    if (entry == slots.end()) return;
    absent.insert_or_assign(bdf, std::move(entry->second));
    slots.erase(entry);
  }
  claim_memory(bdf);  // what was mapped while it left
}

void Machine::Impl::leave_vfs(Bdf pf) {
  for (const Bdf vf : vfs_of(pf)) {
    const DeviceLock device(*this, vf);
    leave(vf);
  }
}

bool Machine::Impl::arrive(Bdf bdf) {
  hw::PciFunction* function = nullptr;
  {
    const schedule::WriteLock lock(bus_lock);
    const auto entry = absent.find(bdf);
    if (entry == absent.end()) return false;
    function = entry->second.function;
    slots.insert_or_assign(bdf, std::move(entry->second));
    absent.erase(entry);
  }
  pci_tsm.add_function(*function);
  return true;
}

Result<void> Machine::Impl::remove_vfs(Bdf pf) {
  const std::vector<Bdf> vfs = vfs_of(pf);
  vfio::Device* device = nullptr;
  hw::PciFunction* function = nullptr;
  bool vfio_made_them = false;
  {
    const schedule::ReadLock lock(bus_lock);
    const Slot* const entry = slot(pf);
    if (entry == nullptr) return fail(Errno::kNoDev, "the PF has left the bus");
    device = entry->vfio.get();
    function = entry->function;
    vfio_made_them = entry->vfio_made_vfs;
  }
  if (device != nullptr) TEEIO_TRY(device->check_unbound());
  leave_vfs(pf);
  if (device == nullptr) {
    hw::set_virtual_functions(*function, 0);
  } else if (auto off = device->set_virtual_functions(0); !off) {
    // Bound while the last VF was still open: they are what its DSM has.
    const auto back = bring_vfs(pf, vfs);
    sysfs_system->refresh();
    TEEIO_TRY(back);
    return off;
  }
  if (!vfio_made_them) return {};
  const schedule::WriteLock lock(bus_lock);
  if (Slot* entry = slot(pf); entry != nullptr) entry->vfio_made_vfs = false;
  return {};
}

/// sriov_numvfs_store(), between device_lock() and the driver's sriov_configure(), and
/// vfio_pci_sriov_configure()'s look at its parameter.
Result<bool> Machine::Impl::changes_vfs(Bdf pf, std::uint16_t count, bool vfio_may) {
  hw::PciFunction* function = nullptr;
  bool vfio = false, native = false;
  {
    const schedule::ReadLock lock(bus_lock);
    const Slot* const entry = slot(pf);
    if (entry == nullptr) return fail(Errno::kNoDev, "the PF has left the bus");
    function = entry->function;
    vfio = entry->vfio != nullptr;
    native = entry->native;
  }
  const auto state = sysfs::sriov(*function);
  const std::uint16_t enabled = state ? state->num_vfs : std::uint16_t{0};
  if (count == enabled) return false;
  if (!vfio && !native) return fail(Errno::kNoEnt, "the PF has no driver");
  if (count != 0 && enabled != 0)
    return fail(Errno::kBusy, "VFs are enabled already; another number needs none first");
  if (vfio && !vfio_may) return fail(Errno::kNoEnt, "vfio-pci runs without enable_sriov");
  return true;
}

Result<bool> Machine::Impl::set_virtual_functions(Bdf pf, std::uint16_t count, bool vfio_may) {
  const DeviceLock device(*this, pf);
  TEEIO_ASSIGN(const bool changes, changes_vfs(pf, count, vfio_may));
  if (changes) TEEIO_TRY(count == 0 ? remove_vfs(pf) : add_vfs(pf, count));
  return changes;
}

Result<void> Machine::Impl::add_vfs(Bdf pf, std::uint16_t count) {
  vfio::Device* device = nullptr;
  hw::PciFunction* function = nullptr;
  {
    const schedule::WriteLock lock(bus_lock);
    Slot* entry = slot(pf);
    if (entry == nullptr) return fail(Errno::kNoDev, "the PF has left the bus");
    device = entry->vfio.get();
    function = entry->function;
    entry->vfio_made_vfs = device != nullptr;
  }
  if (device != nullptr) {
    TEEIO_TRY(device->set_virtual_functions(count));
  } else {
    hw::set_virtual_functions(*function, count);
  }
  std::vector<Bdf> vfs;
  for (unsigned index = 1; index <= count; ++index)
    vfs.push_back(Bdf::from_rid(static_cast<std::uint16_t>(pf.rid() + index), pf.domain));
  return bring_vfs(pf, vfs);
}

Result<void> Machine::Impl::bring_vfs(Bdf pf, const std::vector<Bdf>& vfs) {
  for (const Bdf vf : vfs) {
    const DeviceLock device(*this, vf);  // nobody binds it in between
    if (!arrive(vf)) continue;
    // vfio_pci_bus_notifier(): a VF of vfio-pci's is vfio-pci's.
    const schedule::WriteLock lock(bus_lock);
    const Slot* const physical = slot(pf);
    if (physical == nullptr || physical->vfio == nullptr) continue;
    if (Slot* entry = slot(vf); entry != nullptr) TEEIO_TRY(attach_vfio(*entry));
  }
  return {};
}

}  // namespace teeio::machine
