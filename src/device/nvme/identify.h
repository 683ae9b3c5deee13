#pragma once

#include <array>
#include <cstdint>

#include "device/nvme/state.h"

namespace teeio::nvme {

/// Identify's data structures. Source: NVMe 1.4, 5.15.
using IdentifyData = std::array<std::byte, kPage>;

/// The structure that the command asks for. Errors: kInvalidField: a CNS that is not offered;
/// kInvalidNamespace.
[[nodiscard]] Outcome<IdentifyData> identify(State& state, const Command& command);

/// Of a namespace, or with 0 of the subsystem: a UUID (RFC 9562, version 8) of the card's
/// serial number.
[[nodiscard]] std::array<std::byte, 16> uuid_of(const ControllerIdentity& identity,
                                                std::uint32_t nsid);
/// Fixed texts, padded with spaces.
inline constexpr const char kFirmwareRevision[] = "1.0     ";

}  // namespace teeio::nvme
