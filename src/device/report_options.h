#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "wire/tdisp_report.h"

namespace teeio::device {

/// What a TDI's report says that its function's registers do not tell: a machine file's
/// [[card.tdi]]. Ranges are as the function behaves; the rest is told to the guest as it
/// stands, and changes nothing else.
struct ReportOptions {
  /// A part of a BAR. Those of one BAR follow each other from its start, and cover it.
  struct Range {
    std::uint8_t bar = 0;
    std::uint64_t bytes = 0;       ///< whole pages
    std::uint16_t attributes = 0;  ///< kMmioNonTeeMemory, kMmioAttributeUpdatable
    std::uint16_t id = 0;
    bool operator==(const Range&) const = default;
  };
  std::uint16_t interface_info = wire::kInfoDmaWithoutPasid;  ///< of TdispInterfaceInfo
  std::uint16_t lnr_control = 0;
  std::uint32_t tph_control = 0;
  Bytes device_info = default_info();
  std::vector<Range> ranges{};  ///< BARs without any are one range each
  bool operator==(const ReportOptions&) const = default;

  static constexpr std::size_t kMaxInfo = 2048;  ///< bytes of device_info
  [[nodiscard]] static Bytes default_info();
};

}  // namespace teeio::device
