#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "hw/pci_function.h"
#include "machine/config.h"

namespace teeio::serve {

/// How a host's software configured a stream, which a served card is without.
struct IdeStreamSetup {
  std::uint8_t id = 0;
  std::uint16_t features = 0;  ///< of hw::IdeOffer
};

/// "ID=FEATURE+FEATURE". Error, ready to print: what it must be.
[[nodiscard]] std::expected<IdeStreamSetup, std::string> parse_ide_stream(std::string_view text);

/// Why the card has no such stream, ready to print; empty: it has.
[[nodiscard]] std::string why_no_stream(const machine::CardConfig& card,
                                        const IdeStreamSetup& setup);

/// Writes PF0's IDE registers as a host's software would: each block is enabled and has its own
/// number as stream ID, the selective streams' first, then the link streams'; a selective one
/// has the card's requester IDs, up to `last_rid`. Precondition: why_no_stream() of each setup
/// is empty.
void set_up_ide(hw::PciFunction& pf, std::uint16_t last_rid, const machine::CardConfig& card,
                const std::vector<IdeStreamSetup>& setups);

}  // namespace teeio::serve
