#include "hw/vtd/nested_tlb.h"

namespace teeio::hw {
using namespace iotlb_format;

void NestedTlb::store(Entry& entry, const Tags& tags, std::uint64_t value) {
  entry.value.store(value);
  entry.page.store(tags.page ^ value);
  entry.space.store(tags.space ^ value);
}

NestedTlb::Key NestedTlb::key_of(const Tags& tags) {
  constexpr std::uint64_t kPlace = (std::uint64_t{1} << 38U) - 1;
  return {(tags.page >> kTagSide & 1U) << kOwnerSide | tags.space << 16U | (tags.page & 0xffffU),
          tags.page >> kTagPage & kPlace};
}

std::uint64_t NestedTlb::owner_of(const Space& space) {
  return key_of({tag_of(space.side, space.domain, 0, Iova{0}), space_tag(space.pasid)}).first;
}

void NestedTlb::insert(const Space& space, Iova address, const IotlbEntry& entry) {
  const Iova low = low48(address);
  const unsigned n = class_of(entry.shift);
  const std::size_t slot = slot_of(space, n, low);
  const Tags tags{tag_of(space.side, space.domain, n, low), space_tag(space.pasid)};
  if (const Tags old = tags_at(entries_[slot]); old.page != 0) slots_.erase(key_of(old));
  slots_.emplace(key_of(tags), slot);
  store(entries_[slot], tags, pack(entry));
  schedule::CacheWord& classes = classes_[bit_of(space.side)];
  classes.store(classes.load() | std::uint64_t{1} << n);
}

void NestedTlb::drop_between(const Key& first, const Key& last) {
  auto at = slots_.lower_bound(first);
  while (at != slots_.end() && at->first <= last) {
    store(entries_[at->second], {0, 0}, 0);
    at = slots_.erase(at);
  }
}

template <class Matches>
void NestedTlb::drop_if(Matches matches) {
  std::erase_if(slots_, [&](const auto& one) {
    if (!matches(one.first.first)) return false;
    store(entries_[one.second], {0, 0}, 0);
    return true;
  });
}

void NestedTlb::drop_side(TBit side) {
  drop_if([side](std::uint64_t owner) { return owner >> kOwnerSide == bit_of(side); });
  classes_[bit_of(side)].store(0);
}

void NestedTlb::drop_domain(TBit side, std::uint16_t domain) {
  drop_if([side, domain](std::uint64_t owner) {
    return owner >> kOwnerSide == bit_of(side) && (owner & 0xffffU) == domain;
  });
}

void NestedTlb::drop_space(const Space& space) {
  const std::uint64_t owner = owner_of(space);
  drop_between({owner, 0}, {owner, ~std::uint64_t{0}});
}

void NestedTlb::drop_range(const Space& space, Iova first, Iova last) {
  const auto key = [&space](unsigned n, Iova address) {
    return key_of({tag_of(space.side, space.domain, n, low48(address)), space_tag(space.pasid)});
  };
  for (unsigned n = 0; n < kClasses; ++n) drop_between(key(n, first), key(n, last));
}

}  // namespace teeio::hw
