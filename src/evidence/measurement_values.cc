#include "evidence/measurement_values.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>

namespace teeio::evidence {
namespace {

// By DMTFSpecMeasurementValueType.
constexpr std::array<std::string_view, 11> kTypes = {"rom",
                                                     "firmware",
                                                     "hardware-config",
                                                     "firmware-config",
                                                     "manifest",
                                                     "device-mode",
                                                     "version",
                                                     "svn",
                                                     "hash-extend",
                                                     "informational",
                                                     "structured-manifest"};
constexpr std::array<std::string_view, 6> kOperational = {
    "manufacturing", "validation", "normal", "recovery", "RMA", "decommissioned"};
constexpr std::array<std::string_view, 5> kDebug = {
    "non-invasive debug is active", "invasive debug is active",
    "non-invasive debug was active since reset", "invasive debug was active since reset",
    "invasive debug was active since manufacturing"};

template <std::size_t N>
std::vector<std::string> names(std::uint32_t bits, const std::array<std::string_view, N>& words) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < N; ++i)
    if ((bits >> i & 1U) != 0) out.emplace_back(words.at(i));
  return out;
}

bool is_text(ByteView value) {
  return !value.empty() && std::ranges::all_of(value, [](std::byte b) {
    const auto c = std::to_integer<unsigned>(b);
    return c >= 0x20 && c < 0x7f;
  });
}

std::string mode_text(ByteView value) {
  const auto mode = DeviceMode::decode(value);
  if (!mode) return {};
  const auto debug = debug_mode_names(mode->mode_state);
  return fmt::format("operational: {}; {}",
                     fmt::join(operational_mode_names(mode->operational_state), ", "),
                     debug.empty() ? "no debugging" : fmt::format("{}", fmt::join(debug, ", ")));
}

}  // namespace

std::string_view measurement_type_name(wire::SpdmMeasurementType type) {
  const auto index = static_cast<std::size_t>(type);
  return index < kTypes.size() ? kTypes.at(index) : std::string_view();
}

std::optional<wire::SpdmMeasurementType> measurement_type_of(std::string_view name) {
  const auto found = std::ranges::find(kTypes, name);
  if (found == kTypes.end()) return std::nullopt;
  return static_cast<wire::SpdmMeasurementType>(found - kTypes.begin());
}

Result<DeviceMode> DeviceMode::decode(ByteView value) {
  constexpr std::size_t kSize = 16;
  if (value.size() != kSize) return fail(Errno::kInval, "a device mode has 16 bytes");
  Reader in(value);
  DeviceMode mode;
  mode.operational_capabilities = in.le<std::uint32_t>();
  mode.operational_state = in.le<std::uint32_t>();
  mode.mode_capabilities = in.le<std::uint32_t>();
  mode.mode_state = in.le<std::uint32_t>();
  return mode;
}

std::vector<std::string> operational_mode_names(std::uint32_t bits) {
  return names(bits, kOperational);
}
std::vector<std::string> debug_mode_names(std::uint32_t bits) { return names(bits, kDebug); }

std::string measurement_text(wire::SpdmMeasurementType type, ByteView value) {
  using enum wire::SpdmMeasurementType;
  if (type == kDeviceMode) return mode_text(value);
  if (type == kSecureVersionNumber) {
    const auto svn = secure_version(value);
    return svn ? std::to_string(*svn) : std::string();
  }
  if (!is_text(value)) return {};
  return {reinterpret_cast<const char*>(value.data()), value.size()};
}

Result<std::uint64_t> secure_version(ByteView value) {
  if (value.size() != sizeof(std::uint64_t))
    return fail(Errno::kInval, "a security version number has eight bytes");
  return Reader(value).le<std::uint64_t>();
}

}  // namespace teeio::evidence
