#include "hw/vtd/iotlb.h"

#include <algorithm>

namespace teeio::hw {
using namespace iotlb_format;

void Iotlb::insert(TBit side, std::uint16_t domain, Iova address, const IotlbEntry& entry) {
  const auto page_class =
      static_cast<unsigned>(std::ranges::find(kShifts, entry.shift) - kShifts.begin());
  const std::uint64_t value = raw(entry.page) >> kPageShift << kValueFrame |
                              std::uint64_t{std::to_underlying(entry.key)} << kValueKey |
                              (entry.writable ? kWritable : 0) | (entry.readable ? kReadable : 0);
  cache_.store(slot_of(side, domain, page_class, address),
               tag_of(side, domain, page_class, address), value);
  schedule::CacheWord& classes = classes_[bit_of(side)];
  classes.store(classes.load() | std::uint64_t{1} << page_class);
}

template <class Matches>
void Iotlb::drop_if(Matches matches) {
  for (std::uint64_t slot = 0; slot < kSlots; ++slot)
    if (const std::uint64_t tag = cache_.tag_at(slot); tag != 0 && matches(tag)) cache_.clear(slot);
}

void Iotlb::drop_side(TBit side) {
  if (classes_[bit_of(side)].load() == 0) return;
  drop_if([side](std::uint64_t tag) { return (tag >> kTagSide & 1U) == bit_of(side); });
  classes_[bit_of(side)].store(0);
}

void Iotlb::drop_domain(TBit side, std::uint16_t domain) {
  drop_if([side, domain](std::uint64_t tag) {
    return (tag >> kTagSide & 1U) == bit_of(side) && (tag & 0xffffU) == domain;
  });
}

void Iotlb::drop_class(TBit side, std::uint16_t domain, unsigned page_class, Iova start,
                       Iova last) {
  const std::uint64_t first_tag = tag_of(side, domain, page_class, start);
  const std::uint64_t last_tag = tag_of(side, domain, page_class, last);
  const std::uint64_t pages = ((last_tag - first_tag) >> kTagPage) + 1;
  if (pages < kSlots) {
    const std::uint64_t first_slot = slot_of(side, domain, page_class, start);
    for (std::uint64_t i = 0; i < pages; ++i)
      if (cache_.tag_at(first_slot + i) == first_tag + (i << kTagPage))
        cache_.clear(first_slot + i);
    return;
  }
  // Same side, class and domain, and a page number in between.
  drop_if([=](std::uint64_t tag) {
    return tag >= first_tag && tag <= last_tag && (tag & 0xffffU) == domain;
  });
}

void Iotlb::drop_range(TBit side, std::uint16_t domain, Iova start, std::uint64_t size_bytes) {
  constexpr std::uint64_t kLast = (std::uint64_t{1} << 48U) - 1;
  if (size_bytes == 0 || raw(start) > kLast) return;
  const std::uint64_t last = std::min(kLast - raw(start), size_bytes - 1) + raw(start);
  for (unsigned n = 0; n < kClasses; ++n)
    if ((classes_[bit_of(side)].load() >> n & 1U) != 0)
      drop_class(side, domain, n, start, Iova{last});
}

void ContextCache::insert(TBit side, std::uint16_t rid, const ContextEntry& entry) {
  cache_.store(context_slot(side, rid), context_tag(side, rid),
               raw(entry.second_stage) >> kPageShift << kValueFrame |
                   std::uint64_t{entry.domain} << 8U | (entry.pass_through ? 1U : 0U));
}

void ContextCache::drop_side(TBit side) {
  for (std::uint64_t slot = 0; slot < kSlots; ++slot)
    if (const std::uint64_t tag = cache_.tag_at(slot);
        tag != 0 && (tag >> 16U & 1U) == bit_of(side))
      cache_.clear(slot);
}

void ContextCache::drop_function(TBit side, std::uint16_t rid) {
  const std::uint64_t slot = context_slot(side, rid);
  if (cache_.tag_at(slot) == context_tag(side, rid)) cache_.clear(slot);
}

}  // namespace teeio::hw
