#include "machine/tdi_config.h"

#include <fmt/format.h>

#include <map>
#include <span>
#include <string>
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

/// As text or as digits; an empty one is no device-specific info. Neither key: `info` stays.
void read_device_info(Section& s, Bytes& info) {
  const toml::node* const plain = s.table().get("device_info");
  const toml::node* const digits = s.table().get("device_info_hex");
  s.seen("device_info");
  s.seen("device_info_hex");
  if (plain != nullptr && digits != nullptr)
    s.complain(*digits, "device_info_hex", "left out: there is a device_info");
  if (plain != nullptr) {
    const std::string text = s.text("device_info");
    const ByteView bytes = std::as_bytes(std::span(text));
    info.assign(bytes.begin(), bytes.end());
  } else if (digits != nullptr) {
    info = hex_bytes(s, "device_info_hex", s.text("device_info_hex"));
  }
  const std::string_view key = plain != nullptr ? "device_info" : "device_info_hex";
  if (info.size() > device::ReportOptions::kMaxInfo)
    s.complain(*s.table().get(key), key,
               fmt::format("at most {} bytes", device::ReportOptions::kMaxInfo));
}

template <class Names>
std::string names_of(unsigned bits, const Names& names) {
  std::string text;
  for (const auto& [name, bit] : names)
    if ((bits & bit) != 0) text += fmt::format("{}{}", text.empty() ? "" : ", ", name);
  return text.empty() ? "none" : text;
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

std::string report_text(const device::ReportOptions& report) {
  std::string text = fmt::format("    report: {}", names_of(report.interface_info, kInterfaceInfo));
  if (report.lnr_control != 0) text += fmt::format("; LNR control {:#x}", report.lnr_control);
  if (report.tph_control != 0) text += fmt::format("; TPH control {:#x}", report.tph_control);
  text += fmt::format("; device info of {} bytes\n", report.device_info.size());
  std::map<std::uint8_t, std::uint64_t> offsets;
  for (const device::ReportOptions::Range& range : report.ranges) {
    std::uint64_t& offset = offsets[range.bar];
    text += fmt::format(
        "    range BAR{}+{:#x} size {:#x} id {} {}\n", range.bar, offset, range.bytes, range.id,
        range.attributes == 0 ? "TEE memory" : names_of(range.attributes, kRangeAttributes));
    offset += range.bytes;
  }
  return text;
}

TdiConfig read_tdi(Section& s, unsigned vfs) {
  TdiConfig tdi;
  device::ReportOptions& report = tdi.report;
  tdi.function = static_cast<unsigned>(s.number("function", 0, vfs, 0));
  report.interface_info = s.flags("interface_info", kInterfaceInfo, report.interface_info);
  report.lnr_control = static_cast<std::uint16_t>(s.number("lnr_control", 0, 0xffff, 0));
  report.tph_control = static_cast<std::uint32_t>(s.number("tph_control", 0, 0xffff'ffff, 0));
  read_device_info(s, report.device_info);
  for_each_table(s.table(), s, "range", s.file(), s.problem(),
                 [&](Section& inner) { report.ranges.push_back(read_range(inner)); });
  s.finish();
  return tdi;
}

}  // namespace teeio::machine
