#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/types.h"
#include "host/sysfs/dynamic_ids.h"
#include "schedule/mutex.h"

namespace teeio::sysfs {

/// What programs have written to a function's attributes and read back there,
/// with no further effect in this machine, but for `rom` (Linux: fields of struct pci_dev).
struct FunctionSettings {
  std::string driver_override = {};
  std::int32_t numa_node = -1;
  std::int32_t enables = 0;  ///< through `enable`, by programs
  bool broken_parity = false;
  bool msi_allowed = true;
  bool vf_autoprobe = true;
  bool rom_enabled = false;  ///< `rom` may be read (rom_attr_enabled)
  /// In order of preference; nullopt: what the function has.
  std::optional<std::vector<std::string>> reset_methods = {};
};

/// Locking: a leaf.
class Settings {
 public:
  /// A function arrives. One that has a driver got it by driver_override.
  void arrive(Bdf bdf, const std::string& driver) {
    const schedule::Lock lock(mutex_);
    functions_.try_emplace(bdf, FunctionSettings{.driver_override = driver});
  }
  /// Every function that `present` does not have is gone: one that comes back is new.
  void keep(const std::set<Bdf>& present) {
    const schedule::Lock lock(mutex_);
    std::erase_if(functions_, [&](const auto& entry) { return !present.contains(entry.first); });
  }
  /// vfio-pci's parameter of that name. Source: Linux drivers/vfio/pci/vfio_pci.c.
  [[nodiscard]] bool enable_sriov() const {
    const schedule::Lock lock(mutex_);
    return enable_sriov_;
  }
  void set_enable_sriov(bool enabled) {
    const schedule::Lock lock(mutex_);
    enable_sriov_ = enabled;
  }
  /// `drivers_autoprobe` of the bus: a function that arrives is probed (device_initial_probe()).
  [[nodiscard]] bool autoprobe() const {
    const schedule::Lock lock(mutex_);
    return autoprobe_;
  }
  void set_autoprobe(bool probes) {
    const schedule::Lock lock(mutex_);
    autoprobe_ = probes;
  }
  [[nodiscard]] FunctionSettings of(Bdf bdf) const {
    const schedule::Lock lock(mutex_);
    const auto at = functions_.find(bdf);
    return at == functions_.end() ? FunctionSettings{} : at->second;
  }
  /// Calls `change` with the settings of a function that has arrived. `change`
  /// takes no lock.
  template <class Change>
  void change(Bdf bdf, Change change) {
    const schedule::Lock lock(mutex_);
    if (const auto at = functions_.find(bdf); at != functions_.end()) change(at->second);
  }

  /// Calls `use` with vfio-pci's dynamic ids, and gives what it gives. `use` takes no lock.
  template <class Use>
  bool with_ids(Use use) {
    const schedule::Lock lock(mutex_);
    return use(ids_);
  }

 private:
  mutable schedule::Mutex mutex_{schedule::Rank::kLeaf};
  std::map<Bdf, FunctionSettings> functions_ TEEIO_GUARDED_BY(mutex_);
  bool enable_sriov_ TEEIO_GUARDED_BY(mutex_) = false;
  bool autoprobe_ TEEIO_GUARDED_BY(mutex_) = true;
  DynamicIds ids_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::sysfs
