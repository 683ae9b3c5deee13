#include <algorithm>
#include <deque>

#include "host/vfio/awake.h"
#include "host/vfio/device.h"

// A reset of the whole bus. Source: Linux drivers/vfio/pci/vfio_pci_core.c,
// vfio_pci_fill_devs(), vfio_pci_dev_set_resettable(), vfio_pci_dev_set_hot_reset().

namespace teeio::vfio {

/// vfio_iommufd_get_dev_id(): a function that nobody has is this user's too if its IOMMU
/// group is (iommufd_ctx_has_group()). Members of the group in other sets, VFs, are on this
/// bus as well and keep it from being reset, so they need not be looked at.
HotReset Device::affected() {
  constexpr std::uint32_t kOwnedWithoutId = 0;  // VFIO_PCI_DEVID_OWNED
  HotReset reset;
  reset.by_id = opened_by_node_;
  const std::vector<Bus::Neighbour> all = wiring_.bus.on_bus_of(bdf());
  const object::File* const own = context_file_.get();
  const auto mine = [this, own](const Bus::Neighbour& other) {
    if (other.device == nullptr || &other.device->set() != &set()) return false;
    other.device->set().lock.assert_held();  // the same lock
    return other.device->idevice_ != nullptr && other.device->context_file_.get() == own;
  };
  for (const Bus::Neighbour& other : all) {
    std::optional<std::uint32_t> id;
    if (mine(other)) {
      other.device->set().lock.assert_held();
      id = other.device->idevice_->id();
    } else if (other.device != nullptr && &other.device->set() == &set() &&
               std::ranges::any_of(all, [&](const Bus::Neighbour& member) {
                 return member.group == other.group && mine(member);
               })) {
      id = kOwnedWithoutId;
    }
    if (!id) reset.owned = false;
    reset.functions.push_back({.bdf = other.bdf, .id = id, .group = other.group});
  }
  return reset;
}

HotReset Device::hot_reset_info() {
  const schedule::Lock lock(set().lock);
  return affected();
}

/// vfio_dev_in_groups(), of every function on the bus.
bool Device::in_groups(const Groups& groups) {
  for (const Bus::Neighbour& other : wiring_.bus.on_bus_of(bdf())) {
    if (other.device == nullptr || &other.device->set() != &set()) return false;
    const Group& group = other.device->group();
    if (std::ranges::none_of(groups, [&group](const object::Ref<object::File>& file) {
          return &static_cast<GroupFile&>(*file).group() == &group;
        }))
      return false;
  }
  return true;
}

Result<void> Device::hot_reset(const Groups* groups) {
  const schedule::Lock lock(set().lock);
  for (;;) {
    if (groups != nullptr ? !in_groups(*groups) : !affected().owned)
      return fail(Errno::kInval, "the bus has functions that this user does not own");
    std::vector<Device*> all;
    for (const Bus::Neighbour& other : wiring_.bus.on_bus_of(bdf()))
      if (other.device != nullptr) all.push_back(other.device);
    if (all.empty()) return fail(Errno::kNoDev, "the function has left the bus");
    std::deque<Awake> awake;  // vfio_pci_dev_set_pm_runtime_get()
    for (Device* const device : all) awake.emplace_back(*device);
    TEEIO_ASSIGN(Device* const bound, reset_together(all));
    if (bound == nullptr) return {};
    TEEIO_TRY(bound->leave_bound("a hot reset"));
  }
}

Result<Device*> Device::reset_together(const std::vector<Device*>& all)
    TEEIO_NO_THREAD_SAFETY_ANALYSIS {
  std::vector<Device*> locked;
  Device* bound = nullptr;
  for (Device* device : all) {
    if (!device->memory_lock_.try_lock()) break;
    locked.push_back(device);
    if (device->bound_) bound = device;
  }
  const bool every = locked.size() == all.size();
  const bool again = std::ranges::any_of(all, &Device::is_device_locked);  // pci_bus_trylock()
  if (every && bound == nullptr && !again)
    for (Device* device : all) {
      device->set_power_state(0);
      device->reset_function(hw::ResetKind::kHot);
    }
  for (Device* device : locked) device->memory_lock_.unlock();
  if (!every) return fail(Errno::kBusy, "a function on the bus is being accessed");
  if (bound == nullptr && again) return fail(Errno::kAgain, kDeviceLocked);
  return bound;
}

}  // namespace teeio::vfio
