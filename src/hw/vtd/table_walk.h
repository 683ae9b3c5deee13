#pragma once

#include <cstdint>
#include <expected>

#include "base/types.h"
#include "hw/physical_memory.h"
#include "hw/vtd/iommu_fault.h"
#include "hw/vtd/iotlb.h"

namespace teeio::hw {

/// Reads the IOMMU's tables in memory, entry by entry; keeps nothing. The
/// formats are in vtd_iommu.h.
class TableWalk {
 public:
  TableWalk(PhysicalMemory& memory, TBit side) : memory_(memory), side_(side) {}

  /// Root table → context table → PASID directory → PASID entry 0.
  [[nodiscard]] std::expected<ContextEntry, FaultReason> context(Hpa root, std::uint16_t rid) const;
  /// The second stage of a function that is not pass-through. `key` is left for
  /// the caller. An entry without any permission is a fault, never a result.
  [[nodiscard]] std::expected<IotlbEntry, FaultReason> second_stage(Hpa table, Iova address) const;

 private:
  [[nodiscard]] std::expected<std::uint64_t, FaultReason> read(Hpa entry, FaultReason access) const;
  /// An entry that must have bit 0 set.
  [[nodiscard]] std::expected<std::uint64_t, FaultReason> read_present(Hpa entry,
                                                                       FaultReason access,
                                                                       FaultReason absent) const;

  PhysicalMemory& memory_;
  const TBit side_;
};

}  // namespace teeio::hw
