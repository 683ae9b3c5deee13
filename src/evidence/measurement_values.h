#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm_measurements.h"

namespace teeio::evidence {

/// "firmware": a word for DMTFSpecMeasurementValueType, as policies have it too; empty for
/// a reserved one.
[[nodiscard]] std::string_view measurement_type_name(wire::SpdmMeasurementType type);
/// Nullopt when there is no such word.
[[nodiscard]] std::optional<wire::SpdmMeasurementType> measurement_type_of(std::string_view name);

/// DMTF's device mode. Source: DSP0274 1.2, table "Device mode field of a measurement
/// block"; layout and bits checked against libspdm's spdm.h,
/// spdm_measurements_device_mode_t.
struct DeviceMode {
  std::uint32_t operational_capabilities = 0;
  std::uint32_t operational_state = 0;
  std::uint32_t mode_capabilities = 0;
  std::uint32_t mode_state = 0;
  /// Errors: EINVAL when it has not 16 bytes.
  static Result<DeviceMode> decode(ByteView value);
  /// Debugging is or was active since the reset, or since manufacturing.
  [[nodiscard]] bool debugged() const { return mode_state != 0; }
};
/// The names of the bits that are set, without those that are reserved.
[[nodiscard]] std::vector<std::string> operational_mode_names(std::uint32_t bits);
[[nodiscard]] std::vector<std::string> debug_mode_names(std::uint32_t bits);

/// What a raw value says to people, by its type: "7", "1.2.3", the modes; empty when there
/// is nothing more than bytes.
[[nodiscard]] std::string measurement_text(wire::SpdmMeasurementType type, ByteView value);
/// A security version number: eight bytes. Errors: EINVAL for another size.
[[nodiscard]] Result<std::uint64_t> secure_version(ByteView value);

}  // namespace teeio::evidence
