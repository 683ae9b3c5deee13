#include "report/summary.h"

#include <fmt/format.h>

#include "report/select.h"
#include "report/wrap.h"

namespace teeio::report {
namespace {

std::string indented(const std::string& text, std::size_t width) {
  std::string out, indent = "  ";
  for (const std::string& line : wrap(text, width - 4)) {
    out += indent + line + '\n';
    indent = "    ";
  }
  return out;
}

}  // namespace

Summary summarize(const std::deque<object::Event>& events) {
  Summary out;
  for (const object::Event& event : events) {
    const auto from = static_cast<std::size_t>(event.from), to = static_cast<std::size_t>(event.to);
    out.acted[from] = out.acted[to] = true;
    if (event.fact != object::Fact::kNone) {
      ++out.states[from];
    } else {
      ++out.calls_made[from];
      ++out.calls_into[to];
    }
    if (!event.refused) continue;
    auto& counts = is_expected(event) ? out.expected : out.refusals;
    ++counts[fmt::format("{} = {}", event.name, event.outcome)];
  }
  return out;
}

std::string summary_text(const Summary& summary, std::size_t width) {
  std::string out = "teeio: what each lane did:\n";
  for (std::size_t i = 0; i < object::kLaneCount; ++i) {
    if (!summary.acted[i]) continue;
    out += fmt::format("  {:<9} {:>5} calls {:>5} received {:>5} states\n",
                       object::lane_name(static_cast<object::Lane>(i)), summary.calls_made[i],
                       summary.calls_into[i], summary.states[i]);
  }
  for (const auto& [what, count] : summary.refusals)
    out += indented(fmt::format("refused ×{}: {}", count, what), width);
  for (const auto& [what, count] : summary.expected)
    out += indented(fmt::format("in the normal course ×{}: {}", count, what), width);
  return out;
}

}  // namespace teeio::report
