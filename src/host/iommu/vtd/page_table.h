#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/iommu/dirty_runs.h"
#include "host/iommu/iommu.h"
#include "hw/physical_memory.h"

namespace teeio::vtd {

using iommu::Prot;

/// A VT-d second-stage table of four levels in physical memory (hw/vtd/vtd_iommu.h has
/// the entry format), with a shadow that knows which frames it has.
/// Source: Linux drivers/iommu/generic_pt/fmt/vtdss.h.
///
/// Locking: none of its own; Domain serialises.
class PageTable {
 public:
  static constexpr unsigned kLevels = 4;
  static constexpr std::uint64_t kLastIova = (std::uint64_t{1} << 48) - 1;

  /// Errors: ENOMEM.
  static Result<std::unique_ptr<PageTable>> create(hw::PhysicalMemory& memory);
  ~PageTable();
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;

  [[nodiscard]] Hpa root() const { return top_.frame; }

  /// Enters [iova, iova + length) with the largest pages (4 KiB, 2 MiB, 1 GiB)
  /// that both addresses' alignment allows. Preconditions: page aligned, not
  /// empty, at most kLastIova, nothing is mapped there. Errors: ENOMEM, with the
  /// entries made so far left in: the caller unmaps the range.
  Result<void> map(Iova iova, Hpa hpa, std::uint64_t length, Prot prot);

  /// Clears [iova, iova + length), which no large page may cross. Frames that
  /// became empty are in `freed`: they go back to memory after the IOTLB has
  /// been invalidated. Gives the count of bytes that were mapped.
  std::uint64_t unmap(Iova iova, std::uint64_t length, std::vector<Hpa>& freed);

  /// pt_iommu_read_and_clear_dirty(): tells `visitor` of what lies in [iova, iova + length) of
  /// pages whose dirty bit is set, neighbours at once. Gives whether a bit was cleared, and
  /// caches may know it as set.
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
  Result<void> init_table(Table& table, unsigned level);
  void free_tree(Table& table);
  std::span<std::uint64_t> words(const Table& table) const;
  void scan_dirty(Table& table, unsigned level, std::uint64_t first, std::uint64_t last,
                  iommu::DirtyRuns& scan);
  std::uint64_t entry(const Table& table, std::size_t index) const;
  void set_entry(Table& table, std::size_t index, std::uint64_t value);
  Result<Table*> child_of(Table& table, std::size_t index, unsigned child_level);
  Result<void> map_page(Iova iova, Hpa hpa, unsigned leaf_level, Prot prot);
  std::uint64_t unmap_in(Table& table, unsigned level, std::uint64_t first, std::uint64_t last,
                         std::vector<Hpa>& freed);

  hw::PhysicalMemory& memory_;
  Table top_;
};

}  // namespace teeio::vtd
