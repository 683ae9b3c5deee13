#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/iommu/dirty_runs.h"
#include "host/iommu/iommu.h"
#include "hw/physical_memory.h"

namespace teeio::amdvi {

using iommu::Prot;

/// A host page table in AMD's format (hw/amd_iommu/registers.h) in physical memory, with
/// a shadow that knows which frames it has. It begins with three levels and grows with
/// the addresses that are mapped.
/// Source: Linux drivers/iommu/generic_pt/fmt/amdv1.h; levels count from 0 as there.
///
/// Locking: none of its own; Domain serialises.
class PageTable {
 public:
  static constexpr unsigned kTopLevel = 5;
  static constexpr std::uint64_t kLastIova = ~std::uint64_t{0};
  /// Every power of two from 4 KiB to 2^51, without 512 GiB: a hardware bug
  /// (amdv1pt_possible_sizes()).
  static constexpr std::uint64_t kPageSizes =
      ((std::uint64_t{1} << 52U) - kPageSize) & ~(std::uint64_t{1} << 39U);

  /// Errors: ENOMEM.
  static Result<std::unique_ptr<PageTable>> create(hw::PhysicalMemory& memory);
  ~PageTable();
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;

  [[nodiscard]] Hpa root() const { return top_->frame; }
  /// How many levels it has: the device table entry's mode.
  [[nodiscard]] unsigned levels() const { return top_level_ + 1; }
  /// Adds levels until `last` is covered (PT_FEAT_DYNAMIC_TOP); the old top becomes a
  /// table below the new one, so a device entry that still has it stays right for what it
  /// covered. Gives whether it grew. Errors: ENOMEM, perhaps having grown a level.
  Result<bool> grow(Iova last);

  /// Enters [iova, iova + length) with the largest pages that both addresses' alignment
  /// allows. Preconditions: page aligned, not empty, covered, nothing is mapped there.
  /// Errors: ENOMEM, with the entries made so far left in: the caller unmaps the range.
  Result<void> map(Iova iova, Hpa hpa, std::uint64_t length, Prot prot);
  /// Clears [iova, iova + length), which no large page may cross. Frames that became empty
  /// are in `freed`: they go back to memory after the IOTLB has been invalidated. Gives
  /// the count of bytes that were mapped.
  std::uint64_t unmap(Iova iova, std::uint64_t length, std::vector<Hpa>& freed);
  /// pt_iommu_read_and_clear_dirty(): tells `visitor` of what lies in [iova, iova + length) of
  /// pages whose dirty bit is set, in any of a page's entries (amdv1pt_entry_is_write_dirty()).
  /// Gives whether a bit was cleared, and caches may know it as set.
  bool read_dirty(Iova iova, std::uint64_t length, iommu::DirtyTracking::Clear clear,
                  iommu::DirtyTracking::Visitor& visitor);
  /// iommu_iova_to_phys().
  [[nodiscard]] std::optional<Hpa> translate(Iova iova) const;

 private:
  struct Table {
    Hpa frame{0};
    std::uint16_t live = 0;  ///< entries that are present
    /// Non-null only in tables above the lowest level.
    std::unique_ptr<std::array<std::unique_ptr<Table>, 512>> children;
  };
  explicit PageTable(hw::PhysicalMemory& memory) : memory_(memory) {}
  Result<std::unique_ptr<Table>> make_table(unsigned level);
  void free_tree(Table& table);
  void scan_dirty(Table& table, unsigned level, std::uint64_t first, std::uint64_t last,
                  iommu::DirtyRuns& scan);
  void clear_dirty(Table& table, std::size_t index);
  [[nodiscard]] std::uint64_t entry(const Table& table, std::size_t index) const;
  void set_entry(Table& table, std::size_t index, std::uint64_t value);
  Result<Table*> child_of(Table& table, std::size_t index, unsigned child_level);
  Result<void> map_page(Iova iova, Hpa hpa, unsigned size_lg2, Prot prot);
  std::uint64_t unmap_in(Table& table, unsigned level, std::uint64_t first, std::uint64_t last,
                         std::vector<Hpa>& freed);

  hw::PhysicalMemory& memory_;
  std::unique_ptr<Table> top_;
  unsigned top_level_ = 2;
};

}  // namespace teeio::amdvi
