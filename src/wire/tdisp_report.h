#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::wire {

/// Attributes of an MMIO range. Source: PCIe Base Spec 11.3.11, "MMIO_RANGE".
enum TdispMmioAttribute : std::uint16_t {
  kMmioMsixTable = 1U << 0U,
  kMmioMsixPba = 1U << 1U,
  kMmioNonTeeMemory = 1U << 2U,        ///< answers T=0 accesses while locked
  kMmioAttributeUpdatable = 1U << 3U,  ///< SET_MMIO_ATTRIBUTE may change the bit before
};

/// One range of a report. `first_page` is a page number, not an address: a reader
/// shifts it by 12. Source: AMDESE/linux-kvm include/linux/tsm.h, struct
/// tdi_report_mmio_range ("Base and size in units of 4K pages"), and
/// drivers/virt/coco/sev-guest/sev_guest_tio.c, get_range(); Arm's tf-a-tests,
/// host_test_realm_smmuv3(), multiplies it by the page size as well. The MMIO
/// reporting offset of LOCK_INTERFACE_REQUEST is in bytes, and added to addresses.
struct TdispMmioRange {
  static constexpr std::size_t kSize = 16;  ///< bytes on the wire
  static constexpr unsigned kPageShift = 12;
  std::uint64_t first_page = 0;  ///< in 4 KiB, with the MMIO reporting offset added
  std::uint32_t pages = 0;       ///< of 4 KiB
  std::uint16_t attributes = 0;  ///< of TdispMmioAttribute
  std::uint16_t range_id = 0;    ///< for a function of ours: the BAR number
  [[nodiscard]] std::uint64_t address() const { return first_page << kPageShift; }
  /// The range `offset` bytes further, which may be negative and wraps as addresses do.
  [[nodiscard]] TdispMmioRange moved(std::uint64_t offset) const {
    TdispMmioRange range = *this;
    range.first_page = (address() + offset) >> kPageShift;
    return range;
  }
  bool operator==(const TdispMmioRange&) const = default;
};

/// INTERFACE_INFO bits of a report.
enum TdispInterfaceInfo : std::uint16_t {
  kInfoNoUpdateAfterLock = 1U << 0U,
  kInfoDmaWithoutPasid = 1U << 1U,
  kInfoDmaWithPasid = 1U << 2U,
  kInfoAts = 1U << 3U,
  kInfoPrs = 1U << 4U,
};

/// The TDI report: what the guest attests. Source: PCIe Base Spec 11.3.11;
/// layout checked against libspdm pci_tdisp.h.
struct TdispReport {
  /// Six BARs, each split by an MSI-X table and PBA, make 18 ranges; foreign
  /// devices may list more. A report is read in portions of 16-bit offsets.
  static constexpr std::size_t kMaxRanges = 1024;
  static constexpr std::size_t kMaxSize = 0xffff;  ///< bytes

  std::uint16_t interface_info = 0;  ///< of TdispInterfaceInfo
  std::uint16_t msix_message_control = 0;
  std::uint16_t lnr_control = 0;
  std::uint32_t tph_control = 0;
  std::vector<TdispMmioRange> ranges;
  Bytes device_info;  ///< vendor's own

  /// Errors: EINVAL when `in` is short or longer than its counts say; E2BIG
  /// above kMaxRanges.
  static Result<TdispReport> decode(ByteView in);
  /// Precondition: at most kMaxSize bytes in all.
  [[nodiscard]] Bytes encode() const;
  bool operator==(const TdispReport&) const = default;
};

TdispMmioRange read_mmio_range(Reader& reader);
void write_mmio_range(Writer& writer, const TdispMmioRange& range);

}  // namespace teeio::wire
