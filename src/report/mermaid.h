#pragma once

#include <string>

#include "report/chart.h"

namespace teeio::report {

/// A chart as a Mermaid sequence diagram, which forges draw in a page: calls are
/// messages, refused ones end in a cross, states and broken rules are notes, phases
/// are notes over all lanes.
[[nodiscard]] std::string draw_mermaid(const Chart& chart);

}  // namespace teeio::report
