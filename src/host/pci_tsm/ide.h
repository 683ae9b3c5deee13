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

/// The end point's side of a selective IDE stream, in its first register block:
/// pci_ide_stream_setup(), _enable() and _teardown(). The root port's side is
/// the firmware's where the firmware owns it.
///
/// Errors: ENXIO when the function has no selective streams.
Result<void> setup_endpoint_stream(hw::PciFunction& pf0, std::uint8_t stream_id,
                                   std::uint16_t root_port_rid);
void enable_endpoint_stream(hw::PciFunction& pf0, std::uint8_t stream_id);
void teardown_endpoint_stream(hw::PciFunction& pf0);

}  // namespace teeio::tsm
