#pragma once

#include <cstdint>

#include "base/types.h"

namespace teeio::tsm {

/// One TDI that a driver has bound (Linux: struct pci_tdi).
struct Tdi {
  Bdf function;
  std::uint32_t tdi_id = 0;  ///< guest BDF, as the vDEVICE's virt_id
};

/// What the rest of the host does when a driver takes a bound function down;
/// the driver calls these in its vendor's order (Linux RFC 27/30: struct
/// pci_tsm_handlers, here one object a function, never a driver-wide table).
///
/// Locking: called with pci_tsm_rwsem (read) and the DSM's lock held.
class TeardownHandlers {
 public:
  virtual ~TeardownHandlers() = default;
  /// From its return no importer maps the function's MMIO anew; what is mapped
  /// stays. For a vendor whose TDI is stopped before its MMIO is unmapped: a
  /// guest's fault in between would map private MMIO of an unlocked TDI (R1).
  virtual void hold_mmio() {}
  /// Takes the function's MMIO back from every importer, KVM's secure tables
  /// included (VFIO revokes its dma-bufs). Idempotent.
  virtual void disable_mmio() = 0;
  /// Lets it be shared again, if the function's memory is enabled.
  virtual void recover_mmio() = 0;
  /// Tells the owner that the function is bound, or no longer: while bound it
  /// keeps the host away from the device (rule R4).
  virtual void set_bound(bool bound) = 0;
};

}  // namespace teeio::tsm
