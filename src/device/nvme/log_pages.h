#pragma once

#include "device/nvme/state.h"

namespace teeio::nvme {

/// The log page that the command asks for, whole: Error Information, SMART / Health,
/// Firmware Slot. Errors: kInvalidLogPage; kInvalidField: of a namespace alone.
/// Source: NVMe 1.4, 5.14.1.
[[nodiscard]] Outcome<Bytes> log_page(const State& state, const Command& command);

}  // namespace teeio::nvme
