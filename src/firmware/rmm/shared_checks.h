#pragma once

#include "firmware/rmm/rows.h"

namespace teeio::rmm::row {

// Checks that many commands make alike.
inline constexpr Check kFeature{"feature", Code::kSmcNotSupported,
                                "the monitor has no device assignment"};
inline constexpr Check kAligned{"aligned", Code::kInput, "an address is not aligned"};
/// sro_ctx_reserve(): BLOCKED instead when every context waits for the host.
inline constexpr Check kReserve{"reserve", Code::kBlocked,
                                "every context of stateful operations waits for its host"};

// copyin_and_validate_dev_comm_enter().
inline constexpr Check kBuffers{"buffers", Code::kInput,
                                "a buffer is not aligned, or the response longer than a page"};
inline constexpr Check kResponseLength{"length", Code::kInput, "the response has no bytes"};
inline constexpr Check kBuffersHosts{"buffers_ns", Code::kInput, "a buffer is not the host's"};

}  // namespace teeio::rmm::row
