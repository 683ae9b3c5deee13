#include "device/mmio_layout.h"

#include "base/check.h"
#include "base/types.h"
#include "hw/config_space.h"

namespace teeio::device {

Bytes ReportOptions::default_info() {
  constexpr std::string_view kText = "teeio";
  const ByteView text = std::as_bytes(std::span(kText));
  return {text.begin(), text.end()};
}

MmioLayout::MmioLayout(const std::array<hw::Bar, hw::kBarCount>& bars, std::uint8_t register_bar,
                       const Msix& msix, std::span<const ReportOptions::Range> ranges) {
  for (std::uint8_t i = 0; i < hw::kBarCount; ++i) {
    if (bars.at(i).kind == hw::Bar::Kind::kNone) continue;
    if (i == msix.bar) {
      parts_.push_back({i, msix.table_offset, kPageSize, wire::kMmioMsixTable, i});
      parts_.push_back({i, msix.pba_offset, kPageSize, wire::kMmioMsixPba, i});
    } else {
      add_bar(i, bars.at(i).size,
              i == register_bar ? std::uint16_t{0} : std::uint16_t{wire::kMmioAttributeUpdatable},
              ranges);
    }
  }
  TEEIO_CHECK(parts_.size() <= kMaxParts, "a report has more ranges than a RangeSet");
}

void MmioLayout::add_bar(std::uint8_t bar, std::uint64_t bytes, std::uint16_t attributes,
                         std::span<const ReportOptions::Range> ranges) {
  std::uint64_t offset = 0;
  for (const ReportOptions::Range& range : ranges) {
    if (range.bar != bar) continue;
    parts_.push_back({bar, offset, range.bytes, range.attributes, range.id});
    offset += range.bytes;
  }
  if (offset == 0) parts_.push_back({bar, 0, bytes, attributes, bar});
  TEEIO_CHECK(offset == 0 || offset == bytes, "the ranges of a BAR do not cover it");
}

RangeSet MmioLayout::touched(std::uint8_t bar, std::uint64_t offset, std::uint64_t size) const {
  RangeSet set = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (part.bar == bar && offset < part.offset + part.bytes && part.offset < offset + size)
      set = static_cast<RangeSet>(set | 1U << i);
  }
  return set;
}

bool MmioLayout::covers(std::span<const ReportOptions::Range> ranges, std::uint8_t bar,
                        std::uint64_t bytes) {
  std::uint64_t left = bytes;
  for (const ReportOptions::Range& range : ranges) {
    if (range.bar != bar) continue;
    if (range.bytes == 0 || range.bytes % kPageSize != 0 || range.bytes > left) return false;
    left -= range.bytes;
  }
  return left == 0;
}

}  // namespace teeio::device
