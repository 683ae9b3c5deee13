#pragma once

#include <cstdint>
#include <vector>

#include "base/types.h"
#include "schedule/mutex.h"

namespace teeio::vfio {

/// Devices that are reset together (Linux: struct vfio_device_set).
struct DeviceSet {
  schedule::Mutex lock{schedule::Rank::kVfioDevset};
};

class Device;

/// What VFIO asks of the PCI bus. Implemented by machine/.
class Bus {
 public:
  struct Neighbour {
    Bdf bdf;
    Device* device = nullptr;  ///< null: vfio-pci has it not
    std::uint32_t group = 0;   ///< its IOMMU group
  };
  virtual ~Bus() = default;
  /// Every function that a reset of `bdf`'s bus resets, itself and VFs included, in order
  /// of BDF (pci_walk_bus()).
  [[nodiscard]] virtual std::vector<Neighbour> on_bus_of(Bdf bdf) = 0;
  /// Every function of an IOMMU group, in order of BDF.
  [[nodiscard]] virtual std::vector<Neighbour> in_group(std::uint32_t group) = 0;
  /// The function's memory is its driver's alone from here on: what programs have mapped
  /// through sysfs is taken away (revoke_iomem()).
  virtual void claim_memory(Bdf bdf) = 0;
  /// Whether somebody has the function's device_lock(): who resets it for a program only tries
  /// (pci_dev_trylock()). No scheduling point.
  [[nodiscard]] virtual bool device_locked(Bdf bdf) = 0;
  /// A function of vfio-pci has other MSI-X vectors than before. With vdev->igate held.
  virtual void vectors_changed() = 0;
};

}  // namespace teeio::vfio
