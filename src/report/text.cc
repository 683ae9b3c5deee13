#include "report/text.h"

#include <fmt/format.h>

#include <unordered_map>

#include "object/event_text.h"

namespace teeio::report {

std::string text(const std::deque<object::Event>& events) {
  std::unordered_map<std::uint64_t, std::size_t> depths;
  std::string out;
  for (const object::Event& event : events) {
    const auto parent = depths.find(event.parent);
    const std::size_t depth = parent == depths.end() ? 0 : parent->second + 1;
    depths.emplace(event.seq, depth);
    out += fmt::format("{:>5} {:{}}{}\n", event.seq, "", 2 * depth, object::event_text(event));
  }
  return out;
}

}  // namespace teeio::report
