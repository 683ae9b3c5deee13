#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/types.h"
#include "hw/amd_iommu/secure_side.h"
#include "hw/iommu.h"
#include "hw/physical_memory.h"
#include "object/trace.h"

namespace teeio::hw {

/// AMD's IOMMU: a device table and host page tables of up to six levels, walked entry by
/// entry in physical memory; a command buffer and an event log there; and caches that
/// hold what was walked until a command takes it out.
/// Source: AMD I/O Virtualization Technology (IOMMU) Specification, document 48882.
///
/// The model has no guest translation (v2 tables), no PPR, no interrupt remapping, and no
/// cache of its own for page directories; the extended feature registers say so.
///
/// A trusted request goes through the host's tables too, and past the SecureSide.
///
/// Locking: any task; kCommandTail is written by one at a time, as a driver must. The
/// inner lock is book-keeping and no scheduling point; translate() and register writes
/// are (a load and a store of one flag), so an explorer orders them.
class AmdIommu final : public Iommu {
 public:
  AmdIommu(PhysicalMemory& memory, object::Trace& trace, std::uint32_t id);
  ~AmdIommu() override;

  [[nodiscard]] std::uint32_t id() const override;

  /// MMIO registers (amd_iommu/registers.h), 8 bytes each; others read 0 and ignore
  /// writes. A write of kCommandTail returns when the commands are carried out, or one
  /// of them has stopped the command buffer.
  [[nodiscard]] std::uint64_t read_register(std::uint32_t offset) const;
  void write_register(std::uint32_t offset, std::uint64_t value);
  /// Runs after an event was logged. Called like a SecureSide: leaf locks only.
  void set_event_interrupt(std::function<void()> interrupt);

  /// SNP is on from here on: entries that translate nothing become illegal, and trusted
  /// requests are possible. Before any traffic.
  void set_secure_side(SecureSide& side);

  /// Faults carry the event's code as their reason, 0 for a fenced guest's.
  std::expected<Translation, IommuFault> translate(Requester from, TBit t, Iova address,
                                                   DmaAccess access) override;
  /// Goes on over pages in the IOTLB, shared requests only: the RMP is asked page by page.
  std::expected<Translation, IommuFault> translate_run(Requester from, TBit t, Iova address,
                                                       std::uint64_t size_bytes,
                                                       DmaAccess access) override;
  [[nodiscard]] std::uint64_t generation(TBit side) const override;

  /// The last refused request; counts are kept since boot.
  [[nodiscard]] std::optional<IommuFault> last_fault() const;
  [[nodiscard]] std::uint64_t fault_count() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Where system addresses are no memory (HyperTransport's address space). Source:
/// specification 2.1.2, and Linux drivers/iommu/amd/iommu.c, HT_RANGE_START and _END.
inline constexpr Iova kHtRangeStart{0xfd'0000'0000};
inline constexpr Iova kHtRangeLast{0xff'ffff'ffff};

}  // namespace teeio::hw
