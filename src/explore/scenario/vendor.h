#pragma once

#include <cstdint>
#include <span>

#include "explore/scenario/vmm.h"
#include "machine/tsm_kind.h"

namespace teeio::explore {

/// What a scenario needs to know of a vendor, one row each.
struct Vendor {
  machine::TsmKind tsm;
  std::uint64_t vm_type;       ///< of its confidential VMs
  std::uint32_t request_arch;  ///< enum iommu_vdevice_tsm_tvm_arch
  bool bind_locks;             ///< the host's bind leaves the TDI LOCKED; else the guest locks
  std::uint32_t guest_asks;    ///< the state that a guest asks for after bind
  bool runs_before_dma;        ///< trusted DMA is for a TDI in RUN; else LOCKED is enough
  /// What KVM_PRE_FAULT_MEMORY needs: a vCPU, and a VM that may run.
  Result<void> (*make_runnable)(Vmm& vmm);
  /// A VM takes its first pages, and then one of them, from a page of the program's at
  /// `source`: only before it may run.
  Result<void> (*begin_populate)(Vmm& vmm);
  Result<void> (*populate)(Vmm& vmm, Gpa page, std::uint64_t source);
  /// The guest turns on trusted DMA of its function, as its code would.
  Result<void> (*enable_dma)(Vmm& vmm, Bdf function);
  /// It judges the device, and has the TDI start with trusted DMA on: guest.h.
  Result<void> (*attest)(Vmm& vmm, Bdf function);
  Result<void> (*start)(Vmm& vmm, Bdf function);
};

[[nodiscard]] std::span<const Vendor> vendors();
/// The row of a machine's TSM; the first for one without a row.
[[nodiscard]] const Vendor& vendor_of(machine::TsmKind tsm);

}  // namespace teeio::explore
