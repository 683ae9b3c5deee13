#pragma once

#include <cstdint>

#include "base/result.h"
#include "host/iommufd/pin_book.h"
#include "host/pci_tsm/pci_tsm.h"
#include "hw/physical_memory.h"
#include "object/trace.h"
#include "schedule/atomic.h"

namespace teeio::iommufd {

/// Who keeps the VM alive for its vPCI devices: the vIOMMU takes a reference on
/// the VM file (list proposal v5, 2026), or only VFIO has one (RFC of 2025).
enum class VmRef : std::uint8_t { kViommu, kVfio };
/// Whether a vDEVICE dies with its idevice (Linux since 6.17) or stays until it
/// is destroyed by id (before).
enum class VdeviceLifetime : std::uint8_t { kIdevice, kIndependent };

/// The ways on which a bind is asked for: VFIO's ioctl (RFC of 2025), iommufd's (list
/// proposal v5), and a guest's request to lock a TDI that nobody has bound, which does
/// the host's part of the bind first: LOCK and STOP travel as guest requests and the
/// host is not asked. kVdevice: making the vDEVICE binds (list proposal v7), and only
/// its end unbinds.
enum class Door : std::uint8_t { kVfio, kIommufd, kGuest, kVdevice };
/// Which doors are open: one of them, or all but kVdevice, beside which there is none.
enum class BindOwner : std::uint8_t { kAny, kVfio, kIommufd, kGuest, kVdevice };

struct Policies {
  BindOwner bind_owner = BindOwner::kAny;
  VmRef vm_ref = VmRef::kViommu;
  VdeviceLifetime vdevice_lifetime = VdeviceLifetime::kIdevice;
};

/// What every open /dev/iommu of one machine shares.
/// Lifetime: outlives them all, as do the things it refers to.
struct Environment {
  hw::PhysicalMemory& memory;
  object::Trace& trace;
  tsm::PciTsm* tsm;  ///< null on a machine without a TSM
  Policies policies;
  PinBook* pins = nullptr;  ///< null: nobody asks
  schedule::Atomic<std::uint32_t> next_context{0};

  /// Whether a bind may come through `door`; the one place that asks BindOwner.
  /// Errors: as a kernel that does not have that door: ENOTTY VFIO's, EOPNOTSUPP
  /// iommufd's and kVdevice's, ENXIO the guest's.
  [[nodiscard]] Result<void> admit(Door door) const;
};

}  // namespace teeio::iommufd
