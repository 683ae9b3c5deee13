#include "hw/vtd/nested_tlb.h"

namespace teeio::hw {
using namespace iotlb_format;

void NestedTlb::store(Entry& entry, const Tags& tags, std::uint64_t value) {
  entry.value.store(value);
  entry.page.store(tags.page ^ value);
  entry.space.store(tags.space ^ value);
}

void NestedTlb::insert(const Space& space, Iova address, const IotlbEntry& entry) {
  const Iova low = low48(address);
  const unsigned n = class_of(entry.shift);
  store(entries_[slot_of(space, n, low)],
        {tag_of(space.side, space.domain, n, low), space_tag(space.pasid)}, pack(entry));
  schedule::CacheWord& classes = classes_[bit_of(space.side)];
  classes.store(classes.load() | std::uint64_t{1} << n);
}

template <class Matches>
void NestedTlb::drop_if(TBit side, Matches matches) {
  if (classes_[bit_of(side)].load() == 0) return;
  for (Entry& entry : entries_)
    if (const Tags tags = tags_at(entry);
        tags.page != 0 && (tags.page >> kTagSide & 1U) == bit_of(side) && matches(tags))
      store(entry, {0, 0}, 0);
}

void NestedTlb::drop_side(TBit side) {
  drop_if(side, [](const Tags&) { return true; });
  classes_[bit_of(side)].store(0);
}

void NestedTlb::drop_domain(TBit side, std::uint16_t domain) {
  drop_if(side, [domain](const Tags& tags) { return (tags.page & 0xffffU) == domain; });
}

void NestedTlb::drop_space(const Space& space) {
  drop_if(space.side, [&space](const Tags& tags) {
    return (tags.page & 0xffffU) == space.domain && tags.space == space_tag(space.pasid);
  });
}

void NestedTlb::drop_range(const Space& space, Iova first, Iova last) {
  drop_if(space.side, [&](const Tags& tags) {
    if ((tags.page & 0xffffU) != space.domain || tags.space != space_tag(space.pasid)) return false;
    const unsigned shift = kShifts.at(tags.page >> kTagClass & 3U);
    const std::uint64_t page = (tags.page >> kTagPage & ((std::uint64_t{1} << 36U) - 1)) << shift;
    return page <= raw(low48(last)) &&
           page + ((std::uint64_t{1} << shift) - 1) >= raw(low48(first));
  });
}

}  // namespace teeio::hw
