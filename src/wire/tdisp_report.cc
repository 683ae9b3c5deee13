#include "wire/tdisp_report.h"

#include "base/check.h"

namespace teeio::wire {

TdispMmioRange read_mmio_range(Reader& reader) {
  TdispMmioRange range;
  range.first_page = reader.le<std::uint64_t>();
  range.pages = reader.le<std::uint32_t>();
  range.attributes = reader.le<std::uint16_t>();
  range.range_id = reader.le<std::uint16_t>();
  return range;
}

void write_mmio_range(Writer& writer, const TdispMmioRange& range) {
  writer.le(range.first_page).le(range.pages).le(range.attributes).le(range.range_id);
}

Result<TdispReport> TdispReport::decode(ByteView in) {
  Reader r(in);
  TdispReport report;
  report.interface_info = r.le<std::uint16_t>();
  r.skip(2);
  report.msix_message_control = r.le<std::uint16_t>();
  report.lnr_control = r.le<std::uint16_t>();
  report.tph_control = r.le<std::uint32_t>();
  const auto ranges = r.le<std::uint32_t>();
  if (ranges > kMaxRanges) return fail(Errno::kTooBig, "TDI report lists too many MMIO ranges");
  for (std::uint32_t i = 0; i < ranges && r.ok(); ++i) report.ranges.push_back(read_mmio_range(r));
  const ByteView info = r.take(r.le<std::uint32_t>());
  if (!r.ok()) return fail(Errno::kInval, "TDI report is shorter than its counts say");
  if (!r.rest().empty()) return fail(Errno::kInval, "TDI report is longer than its counts say");
  report.device_info.assign(info.begin(), info.end());
  return report;
}

Bytes TdispReport::encode() const {
  Writer w;
  w.le(interface_info).zeros(2).le(msix_message_control).le(lnr_control).le(tph_control);
  w.le(static_cast<std::uint32_t>(ranges.size()));
  for (const TdispMmioRange& range : ranges) write_mmio_range(w, range);
  w.le(static_cast<std::uint32_t>(device_info.size())).bytes(device_info);
  TEEIO_CHECK(w.size() <= kMaxSize, "TDI report is too long for 16-bit offsets");
  return w.take();
}

}  // namespace teeio::wire
