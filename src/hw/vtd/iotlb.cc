#include "hw/vtd/iotlb.h"

#include <algorithm>

namespace teeio::hw {
using namespace iotlb_format;

void Iotlb::insert(TBit side, std::uint16_t domain, Iova address, const IotlbEntry& entry) {
  const unsigned page_class = class_of(entry.shift);
  cache_.store(slot_of(side, domain, page_class, address),
               tag_of(side, domain, page_class, address), pack(entry));
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

void ContextCache::insert(TBit side, Requester from, const ContextEntry& entry) {
  const std::uint64_t slot = context_slot(side, from);
  entries_[slot % kSlots] = entry;
  cache_.store(slot, context_tag(side, from),
               std::uint64_t{entry.domain} << 8U | std::to_underlying(entry.kind));
}

std::optional<ContextEntry> ContextCache::entry(TBit side, Requester from) const {
  const std::uint64_t slot = context_slot(side, from);
  if (cache_.tag_at(slot) != context_tag(side, from)) return std::nullopt;
  return entries_[slot % kSlots];
}

template <class Matches>
void ContextCache::drop_if(TBit side, Matches matches) {
  for (std::uint64_t slot = 0; slot < kSlots; ++slot)
    if (const std::uint64_t tag = cache_.tag_at(slot);
        tag != 0 && (tag >> 16U & 1U) == bit_of(side) && matches(tag, entries_[slot]))
      cache_.clear(slot);
}

void ContextCache::drop_side(TBit side) {
  drop_if(side, [](std::uint64_t, const ContextEntry&) { return true; });
}

void ContextCache::drop_function(TBit side, std::uint16_t rid) {
  drop_if(side, [rid](std::uint64_t tag, const ContextEntry&) { return (tag & 0xffffU) == rid; });
}

void ContextCache::drop_pasid(TBit side, std::uint16_t domain, Pasid pasid) {
  drop_if(side, [=](std::uint64_t tag, const ContextEntry& entry) {
    constexpr std::uint64_t kPasids = (std::uint64_t{1} << kPasidBits) - 1;
    return entry.domain == domain && (tag >> 18U & kPasids) == std::to_underlying(pasid);
  });
}

}  // namespace teeio::hw
