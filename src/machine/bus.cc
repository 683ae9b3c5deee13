#include <algorithm>
#include <optional>

#include "host/sysfs/pci_identity.h"
#include "host/vfio/awake.h"
#include "host/vfio/mapped_rom.h"
#include "host/vfio/saved_config.h"
#include "hw/capabilities.h"
#include "machine/parts.h"
#include "object/waits_for_closes.h"

namespace teeio::machine {
namespace {

bool has_vfs(hw::PciFunction& function) {
  const auto state =
      function.physical_function() == nullptr ? sysfs::sriov(function) : std::nullopt;
  return state && state->num_vfs != 0;
}

}  // namespace

Machine::Impl::Slot* Machine::Impl::slot(Bdf bdf) {
  const auto at = slots.find(bdf);
  return at == slots.end() ? nullptr : &at->second;
}

std::vector<sysfs::Host::Function> Machine::Impl::functions() {
  const schedule::ReadLock lock(bus_lock);
  std::vector<Function> list;
  for (const auto& [bdf, entry] : slots) {
    Function function{.pci = entry.function};
    function.group = entry.group;
    function.iommu = iommu_drivers[entry.iommu].get();
    if (entry.set == nullptr) {
      function.driver = "pcieport";
    } else if (entry.leaving) {
      function.leaving = true;  // driver_sysfs_remove() comes before the driver's own part
      // vfio_pci_core_unregister_device(): VFs go before their PF's node (vfio_device_del()), and
      // vfio_device_remove_group() comes after the last close.
      const auto is_its_vf = [pf = entry.function](const auto& other) {
        return other.second.function->physical_function() == pf;
      };
      if (std::ranges::any_of(slots, is_its_vf)) function.vfio_minor = entry.vfio->minor();
      function.group_minor = vfio_groups.at(entry.group).minor;
    } else if (entry.vfio != nullptr) {
      function.driver = "vfio-pci";
      function.vfio_minor = entry.vfio->minor();
      function.vectors = entry.vfio->irqs().allocated();
      function.vectors_are_msi = entry.vfio->irqs().allocated_are_msi();
      function.group_minor = vfio_groups.at(entry.group).minor;
    } else if (entry.native) {
      function.driver = "native";
    }
    list.push_back(std::move(function));
  }
  return list;
}

bool Machine::Impl::has(Bdf bdf) {
  const schedule::ReadLock lock(bus_lock);
  return slots.contains(bdf);
}

vfio::Device* Machine::Impl::vfio(std::uint32_t minor) {
  const schedule::ReadLock lock(bus_lock);
  return minor < by_minor.size() ? by_minor[minor] : nullptr;
}

object::Ref<vfio::Group> Machine::Impl::vfio_group(std::uint32_t number) {
  const schedule::ReadLock lock(bus_lock);
  const auto at = vfio_groups.find(number);
  return at == vfio_groups.end() ? object::Ref<vfio::Group>() : at->second.group;
}

std::vector<std::string> Machine::Impl::vendor_nodes() {
  std::vector<std::string> names;
  for (const entry::VendorNode* node : platform->nodes()) names.emplace_back(node->name());
  return names;
}

entry::VendorNode* Machine::Impl::vendor_node(std::string_view name) {
  for (entry::VendorNode* node : platform->nodes())
    if (node->name() == name) return node;
  return nullptr;
}

object::Ref<vfio::Group> Machine::Impl::join_group(const Slot& entry) {
  if (const auto at = vfio_groups.find(entry.group); at != vfio_groups.end())
    return at->second.group;
  // ida_alloc_max(): the lowest that is free.
  auto minor = static_cast<std::uint32_t>(vfio_groups.size());
  if (!free_group_minors.empty()) minor = *free_group_minors.begin();
  free_group_minors.erase(minor);
  auto group = object::make_ref<vfio::Group>(vfio::Group::Wiring{
      .number = entry.group, .iommu = *iommu_drivers[entry.iommu], .bus = *this, .trace = events});
  vfio_groups.emplace(entry.group, GroupEntry{group, minor});
  return group;
}

Result<void> Machine::Impl::attach_vfio(Slot& entry) {
  auto free = std::ranges::find(by_minor, nullptr);
  if (free == by_minor.end()) free = by_minor.insert(free, nullptr);
  const auto minor = static_cast<std::uint32_t>(free - by_minor.begin());
  std::shared_ptr<vfio::VfToken> token;
  if (hw::PciFunction* pf = entry.function->physical_function(); pf != nullptr) {
    const Slot* physical = slot(pf->bdf());
    if (physical != nullptr && physical->vfio != nullptr && physical->vfio_made_vfs)
      token = physical->vfio->vf_token();
  }
  entry.vfio =
      std::make_unique<vfio::Device>(vfio::Device::Wiring{.function = *entry.function,
                                                          .memory = memory,
                                                          .interrupts = interrupts,
                                                          .iommu = *iommu_drivers[entry.iommu],
                                                          .tsm = pci_tsm,
                                                          .trace = events,
                                                          .set = *entry.set,
                                                          .bus = *this,
                                                          .group = entry.group,
                                                          .minor = minor,
                                                          .policies = config.vfio,
                                                          .has_vfs = entry.sriov,
                                                          .token_of_pf = std::move(token),
                                                          .vfio_group = join_group(entry)});
  *free = entry.vfio.get();
  return {};
}

object::Ref<vfio::Group> Machine::Impl::detach_vfio(Slot& entry) {
  if (entry.vfio == nullptr) return {};
  by_minor[entry.vfio->minor()] = nullptr;
  gone.push_back(std::move(entry.vfio));
  for (const auto& [bdf, other] : slots)
    if (other.group == entry.group && other.vfio != nullptr) return {};
  const auto last = vfio_groups.find(entry.group);
  object::Ref<vfio::Group> group = std::move(last->second.group);
  free_group_minors.insert(last->second.minor);
  vfio_groups.erase(last);
  return group;
}

bool Machine::Impl::in_use(Bdf bdf) {
  vfio::Device* device = nullptr;
  {
    const schedule::ReadLock lock(bus_lock);
    if (Slot* entry = slot(bdf); entry != nullptr) device = entry->vfio.get();
  }
  return device != nullptr && device->in_use();
}

std::shared_ptr<void> Machine::Impl::keep_awake(Bdf bdf) {
  vfio::Device* device = nullptr;
  {
    const schedule::ReadLock lock(bus_lock);
    if (Slot* entry = slot(bdf); entry != nullptr) device = entry->vfio.get();
  }
  return device != nullptr ? std::make_shared<vfio::Awake>(*device) : nullptr;
}

/// reset_store(). pci_reset_function() asks nobody but the driver; vfio-pci's
/// device keeps the host's hands off while it is bound, as for VFIO_DEVICE_RESET.
Result<void> Machine::Impl::reset(Bdf bdf) {
  const DeviceLock alone(*this, bdf);  // pci_dev_lock()
  hw::PciFunction* function = nullptr;
  vfio::Device* device = nullptr;
  {
    const schedule::ReadLock lock(bus_lock);
    if (Slot* entry = slot(bdf); entry != nullptr) {
      function = entry->function;
      device = entry->vfio.get();  // lives on when it is detached
    }
  }
  if (function == nullptr) return fail(Errno::kNoDev, "the function has left the bus");
  if (device != nullptr) return device->reset(vfio::Device::ResetBy::kHost);
  const vfio::SavedConfig saved(*function);  // pci_dev_save_and_disable()
  function->reset(hw::ResetKind::kFunctionLevel);
  saved.restore(*function);
  return {};
}

void Machine::Impl::reach(Bdf bdf, const std::function<void(bool bound)>& access) {
  vfio::Device* device = nullptr;
  {
    const schedule::ReadLock lock(bus_lock);
    if (Slot* entry = slot(bdf); entry != nullptr) device = entry->vfio.get();
  }
  if (device != nullptr) return device->reach(access);
  const DeviceLock alone(*this, bdf);  // pci_cfg_access_lock(): a reset writes back what it saved
  access(/*bound=*/false);             // who binds has it open
}

void Machine::Impl::with_device_lock(Bdf bdf, const std::function<void()>& change) {
  const DeviceLock alone(*this, bdf);
  change();
}

Result<std::size_t> Machine::Impl::read_rom(Bdf bdf, std::uint64_t offset,
                                            std::span<std::byte> out) {
  hw::PciFunction* function = nullptr;
  vfio::Device* device = nullptr;
  {
    const schedule::ReadLock lock(bus_lock);
    if (Slot* entry = slot(bdf); entry != nullptr) {
      function = entry->function;
      device = entry->vfio.get();  // lives on when it is detached
    }
  }
  if (function == nullptr) return fail(Errno::kNoDev, "the function has left the bus");
  if (device != nullptr) return device->read_rom_images(offset, out);
  const schedule::Lock lock(rom_lock);
  return vfio::read_images(*function, offset, out);
}

/// pci_stop_and_remove_bus_device_locked().
void Machine::Impl::remove(Bdf bdf) {
  std::optional<object::WaitsForCloses> waits(std::in_place);
  const schedule::Lock alone(rescan_remove_lock);
  waits.reset();
  const DeviceLock device(*this, bdf);
  leave_vfs(bdf);
  leave(bdf);
}

/// device_driver_attach(), and vfio_pci_probe().
Result<void> Machine::Impl::bind_vfio(Bdf bdf) {
  const DeviceLock device(*this, bdf);
  hw::PciFunction* function = nullptr;
  {
    const schedule::ReadLock lock(bus_lock);
    if (Slot* entry = slot(bdf); entry != nullptr && entry->set != nullptr)
      function = entry->function;
  }
  if (function == nullptr)
    return fail(Errno::kNoDev, "the function is not there or not for vfio-pci");
  // vfio_pci_core_register_device(): the VFs might be in use by others.
  if (has_vfs(*function)) return fail(Errno::kBusy, "vfio-pci takes no PF whose VFs are enabled");
  const schedule::WriteLock lock(bus_lock);
  Slot* entry = slot(bdf);
  if (entry == nullptr) return fail(Errno::kNoDev, "the function has left the bus");
  if (entry->vfio != nullptr || entry->native)
    return fail(Errno::kBusy, "the function has a driver already");
  return attach_vfio(*entry);
}

/// device_driver_detach(): success too where the driver has gone meanwhile.
Result<void> Machine::Impl::unbind_vfio(Bdf bdf) {
  const DeviceLock device(*this, bdf);
  leave_vfio(bdf);
  return {};
}

/// vfio_pci_core_unregister_device(). VF Enable of a PF that is bound is cleared when it is no
/// more: nobody but its user reaches it before.
void Machine::Impl::leave_vfio(Bdf bdf) {
  hw::PciFunction* function = nullptr;
  vfio::Device* device = nullptr;
  {
    const schedule::WriteLock lock(bus_lock);
    Slot* const entry = slot(bdf);
    if (entry == nullptr || entry->vfio == nullptr) return;
    function = entry->function;
    device = entry->vfio.get();
    entry->leaving = true;
  }
  leave_vfs(bdf);
  const bool vfs_off = !has_vfs(*function) || device->set_virtual_functions(0).has_value();
  sysfs_system->refresh();  // the node goes, so that no new user comes
  device->unregister();
  if (!vfs_off) hw::set_virtual_functions(*function, 0);
  object::Ref<vfio::Group> orphan;
  {
    const schedule::WriteLock lock(bus_lock);
    Slot& entry = *slot(bdf);
    entry.leaving = false;
    entry.vfio_made_vfs = false;
    orphan = detach_vfio(entry);
  }
  if (orphan) orphan->revoke();
}

// Without a rank, as Linux's has no class that lockdep would judge: device_initialize() calls
// lockdep_set_novalidate_class(&dev->mutex) (drivers/base/core.c).
Machine::Impl::DeviceLock::DeviceLock(Impl& machine, Bdf bdf) TEEIO_NO_THREAD_SAFETY_ANALYSIS
    : machine_(machine),
      bdf_(bdf),
      mutex_(machine.device_locks.at(bdf)) {
  const object::WaitsForCloses waits;
  mutex_.lock();
  machine_.note_locked(bdf_, true);
}

Machine::Impl::DeviceLock::~DeviceLock() TEEIO_NO_THREAD_SAFETY_ANALYSIS {
  machine_.note_locked(bdf_, false);
  mutex_.unlock();
}

void Machine::Impl::note_locked(Bdf bdf, bool is_locked) {
  locked_turn.touch(schedule::part(0, bdf.rid()), schedule::Touch::How::kWrite);
  const schedule::RawLockGuard guard(locked_lock);
  if (is_locked)
    locked.insert(bdf);
  else
    locked.erase(bdf);
}

bool Machine::Impl::device_locked(Bdf bdf) {
  locked_turn.touch(schedule::part(0, bdf.rid()), schedule::Touch::How::kRead);
  const schedule::RawLockGuard guard(locked_lock);
  return locked.contains(bdf);
}

}  // namespace teeio::machine
