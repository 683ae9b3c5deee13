#pragma once

#include <cstdint>

#include "base/result.h"
#include "hw/pci_function.h"

namespace teeio::tsm {

/// One end of a selective stream, in the function's registers: an association with every
/// requester, as AMD's driver sets it. Source: Linux drivers/pci/ide.c,
/// pci_ide_stream_setup(); AMDESE/linux-kvm sev-dev-tsm.c, stream_setup().
enum class StreamEnd : std::uint8_t { kEndPoint, kRootPort };

/// Errors: ENXIO without selective streams; EBUSY when no block is free.
Result<void> setup_stream(hw::PciFunction& function, StreamEnd end, std::uint8_t stream_id);
void enable_stream(hw::PciFunction& function, std::uint8_t stream_id);
/// Disables it and makes its block free.
void teardown_stream(hw::PciFunction& function, std::uint8_t stream_id);

}  // namespace teeio::tsm
