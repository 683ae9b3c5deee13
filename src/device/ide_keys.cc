#include "device/ide_keys.h"

#include <algorithm>

namespace teeio::device {

IdeKeys::Entry& IdeKeys::at(wire::IdeKeySelector selector) {
  const auto direction = static_cast<std::size_t>(selector.direction());
  const auto sub_stream = static_cast<std::size_t>(selector.sub_stream());
  return sets_.at(selector.key_set()).at(direction * wire::kIdeSubStreamCount + sub_stream);
}

bool IdeKeys::program(wire::IdeKeySelector selector, const wire::IdeKey& key) {
  Entry& entry = at(selector);
  if (entry.in_use) return false;
  entry.key = key;
  return true;
}

bool IdeKeys::go(wire::IdeKeySelector selector) {
  Entry& entry = at(selector);
  if (!entry.key) return false;
  entry.in_use = true;
  return true;
}

void IdeKeys::stop(wire::IdeKeySelector selector) { at(selector) = {}; }

bool IdeKeys::ready() const {
  return std::ranges::any_of(sets_, [](const auto& set) {
    return std::ranges::all_of(set, [](const Entry& entry) { return entry.in_use; });
  });
}

}  // namespace teeio::device
