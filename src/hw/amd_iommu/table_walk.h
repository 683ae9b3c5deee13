#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "base/types.h"
#include "hw/amd_iommu/registers.h"
#include "hw/iommu.h"
#include "hw/physical_memory.h"

namespace teeio::hw::amd {

/// An event log entry in the making: what was found, where the requester and the address
/// are the caller's to add.
struct Fault {
  Event event;
  std::uint16_t flags;    ///< kFlag*, without kFlagWrite
  std::string_view text;  ///< literal
};

/// What a device table entry says of a requester.
struct DeviceEntry {
  bool translates = false;  ///< false: V is 0, addresses pass as they are
  bool readable = false;
  bool writable = false;
  bool tracks_dirty = false;  ///< HAD: a walk sets a page's accessed and dirty bit
  std::uint8_t mode = 0;      ///< levels of the page table; 0: none
  std::uint16_t domain = 0;
  Hpa root{0};
};

/// A page that a walk found.
struct Page {
  Hpa address;     ///< aligned to its size
  unsigned shift;  ///< log2 of its size, 12 to 63
  bool readable;
  /// Writes may use it without a walk: they are permitted, and no dirty bit is missing.
  bool writable;
};

/// Reads the tables in memory, entry by entry; keeps nothing, and writes accessed and dirty
/// bits of pages alone.
class TableWalk {
 public:
  explicit TableWalk(PhysicalMemory& memory) : memory_(memory) {}

  /// `table` as kDeviceTable has it. `snp`: an entry without a page table is illegal.
  /// Source: specification 2.2.2, "Device Table Entry Fields".
  [[nodiscard]] std::expected<DeviceEntry, Fault> device(std::uint64_t table, std::uint16_t rid,
                                                         bool snp) const;
  /// The page of `address`; what it permits is what every level permits, the device
  /// entry included. Source: 2.2.3, "I/O Page Tables for Host Translations".
  /// Precondition: the mode is not 0.
  [[nodiscard]] std::expected<Page, Fault> page(const DeviceEntry& entry, Iova address,
                                                DmaAccess access) const;

 private:
  PhysicalMemory& memory_;
};

}  // namespace teeio::hw::amd
