#pragma once

#include <cstdint>
#include <optional>

#include "device/nvme/state.h"

namespace teeio::nvme {

/// Carries out a command of the admin queue; gives dword 0 of its completion, or nullopt for
/// an Asynchronous Event Request that waits, and an Abort that ends with the one it aborted.
/// Source: NVMe 1.4, 5. The host's mistakes have the status that the command's clause names.
[[nodiscard]] Outcome<std::optional<std::uint32_t>> run_admin(State& state, const Command& command);

}  // namespace teeio::nvme
