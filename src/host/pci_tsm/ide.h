#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/types.h"
#include "hw/pci_function.h"

namespace teeio::tsm {

/// The requester IDs of a card: from PF0 to its last VF (SR-IOV capability) or
/// to itself. Source: Linux drivers/pci/ide.c, pci_ide_stream_alloc().
struct RidRange {
  std::uint16_t first;
  std::uint16_t last;
};
[[nodiscard]] RidRange rid_range(hw::PciFunction& pf0);

/// Whether a stream is the end point's default one, for what no association covers.
enum class DefaultStream : std::uint8_t { kNo, kYes };

/// The end point's side of a selective IDE stream, in its first register block that is free:
/// pci_ide_stream_setup(), _enable() and _teardown(). Configuration requests and "TEE-limited"
/// as the capability says; no address association, since all requests upstream have one way.
/// The root port's side is the firmware's where the firmware owns it.
///
/// Errors: ENXIO when the function has no selective streams; ENOMEM when none is free (Linux
/// leaves the errno to the driver).
Result<void> setup_endpoint_stream(hw::PciFunction& pf0, std::uint8_t stream_id,
                                   std::uint16_t root_port_rid,
                                   DefaultStream is_default = DefaultStream::kNo);
/// Errors: EINVAL for a stream that is not set up; ENXIO when its state is not Secure then: it
/// is disabled again.
Result<void> enable_endpoint_stream(hw::PciFunction& pf0, std::uint8_t stream_id);
/// Nothing happens to a stream that is not set up.
void teardown_endpoint_stream(hw::PciFunction& pf0, std::uint8_t stream_id);

}  // namespace teeio::tsm
