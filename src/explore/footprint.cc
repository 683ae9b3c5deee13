#include "explore/footprint.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace teeio::explore {
namespace {

using How = Touch::How;

/// One touch for two of an element.
How both_of(How a, How b) { return a == b ? a : How::kWrite; }

void tidy(std::vector<Touch>& touches) {
  std::ranges::sort(touches);
  std::size_t kept = 0;
  for (const Touch& touch : touches) {
    if (kept != 0 && touches[kept - 1].element == touch.element)
      touches[kept - 1].how = both_of(touches[kept - 1].how, touch.how);
    else
      touches[kept++] = touch;
  }
  touches.resize(kept);
}

std::uint64_t hash_of(std::span<const Touch> touches) {
  std::uint64_t hash = touches.size();
  for (const Touch& touch : touches)
    hash = (hash ^ touch.element ^ std::to_underlying(touch.how)) * 0x100000001b3ULL;
  return hash;
}

}  // namespace

Footprints::Footprints() : ranges_{{0, 0}, {0, 0}} {}

std::span<const Touch> Footprints::touches(Number number) const {
  const Range range = ranges_[number];
  return {pool_.data() + range.first, range.count};
}

Footprints::Number Footprints::number_of(std::vector<Touch>& touches) {
  if (touches.empty()) return kNothing;
  tidy(touches);
  const std::uint64_t hash = hash_of(touches);
  const auto [first, last] = by_hash_.equal_range(hash);
  for (auto at = first; at != last; ++at)
    if (std::ranges::equal(this->touches(at->second), touches)) return at->second;
  const auto number = static_cast<Number>(ranges_.size());
  ranges_.push_back(
      {static_cast<std::uint32_t>(pool_.size()), static_cast<std::uint32_t>(touches.size())});
  pool_.insert(pool_.end(), touches.begin(), touches.end());
  by_hash_.emplace(hash, number);
  return number;
}

Footprints::Number Footprints::both(Number a, Number b) {
  if (a == b || b == kNothing) return a;
  if (a == kNothing) return b;
  if (a == kAnything || b == kAnything) return kAnything;
  joined_.assign(touches(a).begin(), touches(a).end());
  joined_.insert(joined_.end(), touches(b).begin(), touches(b).end());
  return number_of(joined_);
}

bool Footprints::conflict(Number a, Number b) const {
  if (a == kNothing || b == kNothing) return false;
  if (a == kAnything || b == kAnything) return true;
  const std::span<const Touch> left = touches(a);
  const std::span<const Touch> right = touches(b);
  for (auto l = left.begin(), r = right.begin(); l != left.end() && r != right.end();) {
    if (l->element == r->element && !commute(l->how, r->how)) return true;
    if (l->element <= r->element)
      ++l;
    else
      ++r;
  }
  return false;
}

bool Footprints::includes(Number whole, Number part) const {
  if (whole == part || part == kNothing) return true;
  if (whole == kAnything || part == kAnything) return whole == kAnything;
  const std::span<const Touch> all = touches(whole);
  return std::ranges::all_of(touches(part), [all](const Touch& touch) {
    const auto at = std::ranges::lower_bound(all, touch.element, {}, &Touch::element);
    return at != all.end() && at->element == touch.element &&
           (at->how == touch.how || at->how == How::kWrite);
  });
}

void add_stories(std::uint64_t stories, std::vector<Touch>& touches) {
  for (std::uint64_t left = stories; left != 0; left &= left - 1)
    touches.push_back(Footprints::told(static_cast<std::uint32_t>(std::countr_zero(left))));
}

}  // namespace teeio::explore
