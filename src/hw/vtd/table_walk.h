#pragma once

#include <cstdint>
#include <expected>

#include "base/types.h"
#include "hw/iommu.h"
#include "hw/physical_memory.h"
#include "hw/vtd/context.h"
#include "hw/vtd/iommu_fault.h"

namespace teeio::hw {

/// Walks the IOMMU's tables in memory, entry by entry; keeps nothing, and writes nothing but
/// accessed and dirty bits, each in one step with the entry that it was read as. The formats
/// are in vtd_iommu.h.
class TableWalk {
 public:
  TableWalk(PhysicalMemory& memory, TBit side) : memory_(memory), side_(side) {}

  /// Root table → context table → PASID directory → PASID entry (RID_PASID, 0, of a request
  /// without PASID).
  [[nodiscard]] std::expected<ContextEntry, FaultReason> context(Hpa root, Requester from) const;
  /// The translation of a requester that is not pass-through. `key` is left for the caller.
  /// An entry without any permission is a fault, never a result; one that does not permit
  /// `access` may be a result.
  [[nodiscard]] std::expected<IotlbEntry, FaultReason> translation(const ContextEntry& context,
                                                                   Iova address,
                                                                   DmaAccess access) const;

 private:
  struct FirstStage {
    Iova page;  ///< an address of the second stage
    unsigned shift;
    bool writable;  ///< as IotlbEntry::writable
  };
  [[nodiscard]] std::expected<std::uint64_t, FaultReason> read(Hpa entry, FaultReason access) const;
  /// An entry that must have bit 0 set.
  [[nodiscard]] std::expected<std::uint64_t, FaultReason> read_present(Hpa entry,
                                                                       FaultReason access,
                                                                       FaultReason absent) const;
  [[nodiscard]] std::expected<Hpa, FaultReason> pasid_entry(Hpa context_entry,
                                                            Requester from) const;
  /// False: the entry is another one by now.
  [[nodiscard]] std::expected<bool, FaultReason> set_bits(Hpa at, std::uint64_t entry,
                                                          std::uint64_t bits,
                                                          FaultReason access) const;
  [[nodiscard]] std::expected<IotlbEntry, FaultReason> second_stage(const ContextEntry& context,
                                                                    Iova address,
                                                                    DmaAccess access) const;
  [[nodiscard]] std::expected<Hpa, FaultReason> first_stage_entry(const ContextEntry& context,
                                                                  std::uint64_t at, bool top,
                                                                  DmaAccess access) const;
  [[nodiscard]] std::expected<FirstStage, FaultReason> first_stage(const ContextEntry& context,
                                                                   Iova address,
                                                                   DmaAccess access) const;

  PhysicalMemory& memory_;
  const TBit side_;
};

}  // namespace teeio::hw
