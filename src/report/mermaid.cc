#include "report/mermaid.h"

#include <fmt/format.h>

#include <array>
#include <optional>

namespace teeio::report {
namespace {

using object::kLaneCount;
using object::Lane;

/// In a message `;` and a line break end the statement and `#` begins an entity;
/// a leading "end" would close a block.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ';')
      out += "#59;";
    else if (c == '#')
      out += "#35;";
    else if (c == '<')
      out += "#lt;";
    else if (c == '>')
      out += "#gt;";
    else
      out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out;
}

std::string id(Lane lane) { return fmt::format("L{}", static_cast<unsigned>(lane)); }

}  // namespace

std::string draw_mermaid(const Chart& chart) {
  std::array<bool, kLaneCount> present{};
  for (const ChartStep& step : chart.steps)
    present[static_cast<std::size_t>(step.from)] = present[static_cast<std::size_t>(step.to)] =
        true;
  std::string out = "sequenceDiagram\n";
  std::optional<Lane> first, last;
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    if (!present[i]) continue;
    const auto lane = static_cast<Lane>(i);
    if (!first) first = lane;
    last = lane;
    out += fmt::format("  participant {} as {}\n", id(lane), object::lane_name(lane));
  }
  const auto over_all = [&](std::string_view words) {
    if (!first) return;
    const std::string lanes = *first == *last ? id(*first) : id(*first) + ',' + id(*last);
    out += fmt::format("  Note over {}: {}\n", lanes, escaped(words));
  };
  for (const ChartStep& step : chart.steps) {
    if (!step.phase.empty()) over_all(step.phase);
    const std::string label = fmt::format("{} {}", step.number, escaped(step.label));
    if (step.note)
      out += fmt::format("  Note over {}: {}\n", id(step.from), label);
    else
      out += fmt::format("  {}{}{}: {}\n", id(step.from),
                         step.refused    ? "-x"
                         : step.expected ? "-->>"
                                         : "->>",
                         id(step.to), label);
    if (!step.mark.empty())
      out += fmt::format("  Note over {}: {} is broken\n", id(step.to), step.mark);
  }
  if (!chart.closing.empty()) over_all(chart.closing);
  return out;
}

}  // namespace teeio::report
