#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "hw/ide_port.h"
#include "hw/pci_function.h"

namespace teeio::tsm {

/// Requester IDs, both inclusive.
struct RidRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
};
/// Those of a card: from PF0 to the last VF that is enabled, or to itself. Source: Linux
/// drivers/pci/ide.c, pci_ide_stream_alloc(), whose last VF is one too far.
[[nodiscard]] RidRange rid_range(hw::PciFunction& pf0);

/// One end of a selective stream: which register block is its, and what is written there.
/// Source: Linux include/linux/pci-ide.h, struct pci_ide_partner.
struct StreamEnd {
  hw::PciFunction* function = nullptr;
  unsigned block = 0;  ///< of the selective streams, from 0
  RidRange requesters{};
  std::vector<hw::IdeAssociation::Range> addresses{};
  bool default_stream = false;
  bool configuration = false;  ///< configuration requests travel in it
  bool tee_limited = false;
  bool is_set_up = false;
  bool is_enabled = false;
};

/// How many selective streams the function has; those only that have as many address
/// associations as the first (pci_ide_init()). 0: none, or no IDE.
[[nodiscard]] unsigned selective_streams(hw::PciFunction& function);
/// The end of a stream in that block, with the capability's bits and no associations.
/// Precondition: block < selective_streams(function).
[[nodiscard]] StreamEnd stream_end(hw::PciFunction& function, unsigned block);

/// pci_ide_stream_setup(): associations, then the stream's ID, not enabled. Addresses beyond
/// what the block has room for are left out, as Linux leaves them.
void set_up_stream(StreamEnd& end, std::uint8_t id);
/// pci_ide_stream_enable(). Errors: ENXIO when the stream's state is not Secure then; the bit
/// stays set, for the caller to clear.
Result<void> enable_stream(StreamEnd& end, std::uint8_t id);
/// pci_ide_stream_disable(): the control register is zero, the associations stay.
void disable_stream(StreamEnd& end);
/// pci_ide_stream_teardown(): every register is zero.
void tear_down_stream(StreamEnd& end);

/// What pci_ide_init() looks at in a block, and what it leaves in an idle one.
struct BlockState {
  bool enabled = false;
  std::uint8_t id = 0;
};
[[nodiscard]] BlockState block_state(hw::PciFunction& function, unsigned block);
void set_idle_id(hw::PciFunction& function, unsigned block, std::uint8_t id);

}  // namespace teeio::tsm
