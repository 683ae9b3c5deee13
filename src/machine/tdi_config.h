#pragma once

#include "machine/config.h"
#include "machine/config_section.h"

namespace teeio::machine {

/// Reads a [[card.tdi]]: what a TDI's report says. Problems are the section's.
[[nodiscard]] TdiConfig read_tdi(Section& s, unsigned vfs);

}  // namespace teeio::machine
