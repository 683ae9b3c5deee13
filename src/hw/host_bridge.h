#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "hw/dma.h"
#include "hw/iommu.h"
#include "hw/pci_function.h"
#include "hw/root_port.h"
#include "object/trace.h"

namespace teeio::hw {

/// A PCI host bridge: which functions exist, which root port and IOMMU each is
/// behind, and the way of their requests to memory:
///   function → root port (T=1: an enabled IDE stream must have the requester)
///            → IOMMU (T=1: its trusted tables, and what they are fenced off from)
///            → memory, which asks whose the page is, with the key that the translation
///              gave; or, for writes to 0xfee00000–0xfeefffff, the interrupt sink.
/// Source of the order: PCIe Base Spec 6.33, a selective stream ends at its two partner ports,
/// so the root port judges a TLP before anything behind it sees one; 10.1, the translation agent
/// lies between root ports and memory; Arm IHI 0070, granule protection checks are of the
/// address that the SMMU puts out, and AMD's APM 2, 15.36, RMP checks of the system physical
/// address. A root port knows no key: whoever owns memory decides behind the translation.
///
/// A request that reaches another function's BAR (peer to peer) is carried out
/// only on plain memory, and only as T=0.
///
/// Lifetime: outlives nothing it refers to: memory, IOMMUs, sink and functions
/// live longer. Locking: add_*() before any traffic; everything else from any
/// task, without a lock of its own that could be waited for.
class HostBridge final : public DmaPort {
 public:
  HostBridge(PhysicalMemory& memory, object::Trace& trace, InterruptSink& interrupts,
             std::uint16_t domain = 0);
  ~HostBridge() override;

  /// Preconditions: the BDF is free, its domain this bridge's; `below`'s bus has
  /// a root port that was added before, or the function is on bus 0.
  void add_root_port(RootPort& port, Iommu& iommu);
  void add_function(PciFunction& function, Iommu& iommu);

  [[nodiscard]] std::uint16_t domain() const;
  [[nodiscard]] PciFunction* find(Bdf bdf) const;
  /// In order of BDF, root ports included.
  [[nodiscard]] std::vector<PciFunction*> functions() const;
  /// The root port above a function, nullptr for one on the root bus.
  [[nodiscard]] RootPort* root_port_of(Bdf bdf) const;

  /// DmaPort: see there. Errors also: EIO when the root port refuses T=1, EFAULT
  /// for an interrupt write that is not of 4 bytes.
  ///
  /// Traced as Fact::kDma (c: key) with the first transfer of a function that
  /// reaches a page class after anything in its IOMMU or root port has changed. A posted write
  /// that memory refuses when it arrives, and that so came after its translation had gone, is
  /// traced as a refused DMA. A read of no bytes pushes the requester's posted writes.
  Result<void> dma_read(Requester from, TBit t, Iova address, std::span<std::byte> out) override;
  Result<void> dma_write(Requester from, TBit t, Iova address, ByteView in) override;
  bool intx(std::uint16_t rid, bool asserted) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace teeio::hw
