#pragma once

#include <string>

#include "machine/config.h"
#include "machine/config_section.h"

namespace teeio::machine {

/// Reads a [[card.tdi]]: what a TDI's report says. Problems are the section's.
[[nodiscard]] TdiConfig read_tdi(Section& s, unsigned vfs);

/// The same in lines for people, as `machine show` prints it.
[[nodiscard]] std::string report_text(const device::ReportOptions& report);

}  // namespace teeio::machine
