#pragma once

#include <cstdint>

#include "base/types.h"
#include "host/iommu/iommu.h"
#include "object/file.h"

namespace teeio::iommufd {

/// The physical device that VFIO hands to iommufd (Linux: struct device with
/// dev->iommu and dev->iommu_group).
///
/// Lifetime: outlives its idevice and, with VdeviceLifetime::kIndependent, every
/// vDEVICE made on it (Linux: get_device()).
class DeviceHandle {
 public:
  virtual ~DeviceHandle() = default;
  [[nodiscard]] virtual Bdf bdf() const = 0;
  /// iommu_group_id(). The function was probed into it at iommu().
  [[nodiscard]] virtual std::uint32_t iommu_group() const = 0;
  [[nodiscard]] virtual iommu::Iommu& iommu() const = 0;
  /// Whether its idevice keeps the iommufd open: not one that the iommufd itself ends.
  [[nodiscard]] virtual bool holds_context() const { return true; }
};

/// The VM that a VFIO device is associated with (vfio_device::kvm_file).
/// Borrowed: VFIO holds the file from before bind until after unbind.
struct VmHandle {
  object::File* file = nullptr;  ///< FileKind::kKvmVm; null without a VM
  std::uint32_t number = 0;      ///< of the VM, for traces
};

}  // namespace teeio::iommufd
