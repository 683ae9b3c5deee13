#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "device/report_options.h"
#include "hw/pci_function.h"

namespace teeio::device {

/// Ranges of a report, by their index in it.
using RangeSet = std::uint16_t;

/// The MMIO of a TEE-I/O function in the parts that its report lists: BARs or parts of them,
/// in order, and of the MSI-X BAR the pages of table and PBA.
///
/// Lifetime: its function's. Immutable.
class MmioLayout {
 public:
  static constexpr std::size_t kMaxParts = 16;
  struct Part {
    std::uint8_t bar;
    std::uint64_t offset;      ///< bytes in the BAR
    std::uint64_t bytes;       ///< whole pages
    std::uint16_t attributes;  ///< as reported under LOCK_MSIX
    std::uint16_t id;
  };
  /// Where the MSI-X structures are, a page each.
  struct Msix {
    std::uint8_t bar;
    std::uint64_t table_offset;
    std::uint64_t pba_offset;
  };
  /// BARs that `ranges` does not name are one part each: `register_bar` TEE memory, further
  /// ones updatable. Precondition: covers() of each BAR that it names; at most kMaxParts.
  MmioLayout(const std::array<hw::Bar, hw::kBarCount>& bars, std::uint8_t register_bar,
             const Msix& msix, std::span<const ReportOptions::Range> ranges);

  [[nodiscard]] std::span<const Part> parts() const { return parts_; }
  /// The parts that `size` bytes of a BAR touch.
  [[nodiscard]] RangeSet touched(std::uint8_t bar, std::uint64_t offset, std::uint64_t size) const;

  /// The ranges of `bar` cover it: whole pages, `bytes` in all.
  [[nodiscard]] static bool covers(std::span<const ReportOptions::Range> ranges, std::uint8_t bar,
                                   std::uint64_t bytes);

 private:
  void add_bar(std::uint8_t bar, std::uint64_t bytes, std::uint16_t attributes,
               std::span<const ReportOptions::Range> ranges);

  std::vector<Part> parts_;
};

}  // namespace teeio::device
