#include "serve/measurement_blocks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "wire/spdm_measurements.h"

namespace teeio::serve {
namespace {

using wire::SpdmMeasurementType;

constexpr std::array<std::pair<std::string_view, SpdmMeasurementType>, 11> kKinds{{
    {"rom", SpdmMeasurementType::kImmutableRom},
    {"firmware", SpdmMeasurementType::kMutableFirmware},
    {"hardware-config", SpdmMeasurementType::kHardwareConfiguration},
    {"firmware-config", SpdmMeasurementType::kFirmwareConfiguration},
    {"manifest", SpdmMeasurementType::kMeasurementManifest},
    {"device-mode", SpdmMeasurementType::kDeviceMode},
    {"version", SpdmMeasurementType::kVersion},
    {"svn", SpdmMeasurementType::kSecureVersionNumber},
    {"hash-extend", SpdmMeasurementType::kHashExtend},
    {"informational", SpdmMeasurementType::kInformational},
    {"structured-manifest", SpdmMeasurementType::kStructuredManifest},
}};

std::string all_kinds() {
  std::vector<std::string_view> names;
  for (const auto& [name, type] : kKinds) names.push_back(name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::expected<spdm::Measurement, std::string> parse_measurement(std::string_view text) {
  const auto is = text.find('=');
  const auto colon = text.find(':', is == std::string_view::npos ? 0 : is);
  if (is == std::string_view::npos || colon == std::string_view::npos)
    return std::unexpected(fmt::format("{}: must be INDEX=KIND:VALUE", text));
  unsigned index = 0;
  const auto read = std::from_chars(text.data(), text.data() + is, index);
  if (read.ec != std::errc() || read.ptr != text.data() + is || index < 1 || index > 0xfe)
    return std::unexpected(fmt::format("{}: an index is 1 to 254", text));
  constexpr std::string_view kRaw = "+raw";
  std::string_view kind = text.substr(is + 1, colon - is - 1);
  const bool raw = kind.ends_with(kRaw);
  if (raw) kind.remove_suffix(kRaw.size());
  const auto at =
      std::ranges::find(kKinds, kind, &std::pair<std::string_view, SpdmMeasurementType>::first);
  if (at == kKinds.end())
    return std::unexpected(
        fmt::format("{}: there is no kind {}; there are {}", text, kind, all_kinds()));
  const std::string_view value = text.substr(colon + 1);
  constexpr std::size_t kMaxValue = 0x8000;  // a block's size has 16 bits
  if (value.size() > kMaxValue)
    return std::unexpected("a measurement's value has at most 32768 bytes");
  const ByteView bytes = std::as_bytes(std::span(value));
  return spdm::Measurement{.index = static_cast<std::uint8_t>(index),
                           .type = std::to_underlying(at->second),
                           .raw = raw,
                           .value = Bytes(bytes.begin(), bytes.end()),
                           .in_tcb = at->second != SpdmMeasurementType::kFirmwareConfiguration,
                           .logged = true};
}

std::vector<spdm::Measurement> MeasurementBlocks::measurements() {
  std::vector<spdm::Measurement> all = card_.measurements();
  for (const spdm::Measurement& block : more_) {
    const auto at = std::ranges::lower_bound(all, block.index, {}, &spdm::Measurement::index);
    if (at != all.end() && at->index == block.index)
      *at = block;
    else
      all.insert(at, block);
  }
  return all;
}

}  // namespace teeio::serve
