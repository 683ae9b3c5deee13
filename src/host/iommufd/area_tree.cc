#include "host/iommufd/area_tree.h"

#include <iterator>

namespace teeio::iommufd {

Area* AreaTree::first_in(std::uint64_t first, std::uint64_t last) {
  auto at = areas_.upper_bound(first);
  if (at != areas_.begin()) {
    Area& below = *std::prev(at)->second;
    if (below.last >= first) return &below;
  }
  return at != areas_.end() && at->first <= last ? at->second.get() : nullptr;
}

Area* AreaTree::next(const Area& area) {
  const auto at = areas_.upper_bound(area.first);
  return at == areas_.end() ? nullptr : at->second.get();
}

void AreaTree::insert(std::unique_ptr<Area> area) {
  const std::uint64_t first = area->first;
  areas_.emplace(first, std::move(area));
}

std::unique_ptr<Area> AreaTree::take(Area& area) {
  const auto at = areas_.find(area.first);
  std::unique_ptr<Area> taken = std::move(at->second);
  areas_.erase(at);
  return taken;
}

}  // namespace teeio::iommufd
