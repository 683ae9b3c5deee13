#pragma once

#include "device/nvme/state.h"

namespace teeio::nvme {

/// Carries out a command of an I/O queue: Flush, Read, Write, Write Zeroes, Dataset
/// Management. Source: NVMe 1.4, 6. The host's mistakes have the status that the command's
/// clause names; a file that fails gives kUnrecoveredRead or kWriteFault.
[[nodiscard]] Status run_io(State& state, const Command& command);
/// Everything that was written is on its disk, or kWriteFault.
[[nodiscard]] Status flush_all(State& state);

}  // namespace teeio::nvme
