#include "machine/tdi_config.h"

#include <fmt/format.h>

#include <span>
#include <utility>

#include "base/hex.h"

namespace teeio::machine {
namespace {

constexpr std::pair<std::string_view, std::uint16_t> kInterfaceInfo[] = {
    {"no-update-after-lock", wire::kInfoNoUpdateAfterLock},
    {"dma-without-pasid", wire::kInfoDmaWithoutPasid},
    {"dma-with-pasid", wire::kInfoDmaWithPasid},
    {"ats", wire::kInfoAts},
    {"prs", wire::kInfoPrs}};
constexpr std::pair<std::string_view, std::uint16_t> kRangeAttributes[] = {
    {"non-tee", wire::kMmioNonTeeMemory}, {"updatable", wire::kMmioAttributeUpdatable}};

/// Hexadecimal digits, two a byte.
Bytes hex_bytes(Section& s, std::string_view key, std::string_view text) {
  auto bytes = from_hex(text);
  if (!bytes) s.complain(*s.table().get(key), key, "hexadecimal digits, two a byte");
  return bytes.value_or(Bytes{});
}

/// [[card.tdi.range]]
device::ReportOptions::Range read_range(Section& s) {
  device::ReportOptions::Range range;
  range.bar = static_cast<std::uint8_t>(s.number("bar", 0, 5));
  range.bytes = s.number("kib", 4, 1024) * 1024;
  range.attributes = s.flags("attributes", kRangeAttributes, 0);
  range.id = static_cast<std::uint16_t>(s.number("id", 0, 0xffff, range.bar));
  s.finish();
  return range;
}

}  // namespace

TdiConfig read_tdi(Section& s, unsigned vfs) {
  TdiConfig tdi;
  device::ReportOptions& report = tdi.report;
  tdi.function = static_cast<unsigned>(s.number("function", 0, vfs, 0));
  report.interface_info = s.flags("interface_info", kInterfaceInfo, report.interface_info);
  report.lnr_control = static_cast<std::uint16_t>(s.number("lnr_control", 0, 0xffff, 0));
  report.tph_control = static_cast<std::uint32_t>(s.number("tph_control", 0, 0xffff'ffff, 0));
  const std::string text = s.optional_text("device_info");
  const std::string hex = s.optional_text("device_info_hex");
  if (!text.empty() && !hex.empty())
    s.complain(*s.table().get("device_info_hex"), "device_info_hex",
               "left out: there is a device_info");
  if (!text.empty()) {
    const ByteView bytes = std::as_bytes(std::span(text));
    report.device_info.assign(bytes.begin(), bytes.end());
  }
  if (!hex.empty()) report.device_info = hex_bytes(s, "device_info_hex", hex);
  if (report.device_info.size() > device::ReportOptions::kMaxInfo)
    s.complain(*s.table().get(hex.empty() ? "device_info" : "device_info_hex"),
               hex.empty() ? "device_info" : "device_info_hex",
               fmt::format("at most {} bytes", device::ReportOptions::kMaxInfo));
  for_each_table(s.table(), s, "range", s.file(), s.problem(),
                 [&](Section& inner) { report.ranges.push_back(read_range(inner)); });
  s.finish();
  return tdi;
}

}  // namespace teeio::machine
