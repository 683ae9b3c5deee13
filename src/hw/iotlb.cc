#include "hw/iotlb.h"

#include <algorithm>
#include <utility>

namespace teeio::hw {
namespace {

constexpr unsigned kClasses = 3;
constexpr std::array<unsigned, kClasses> kShifts = {12, 21, 30};

// Tag: domain 15:0, page number 51:16, page class 53:52, side 54, valid 55.
constexpr unsigned kTagPage = 16;
constexpr unsigned kTagClass = 52;
constexpr unsigned kTagSide = 54;
constexpr std::uint64_t kTagValid = std::uint64_t{1} << 55U;
// Value: readable 0, writable 1, key 23:8, frame number 63:24.
constexpr std::uint64_t kReadable = 1;
constexpr std::uint64_t kWritable = 2;
constexpr unsigned kValueKey = 8;
constexpr unsigned kValueFrame = 24;

std::uint64_t bit_of(TBit side) { return std::to_underlying(side); }

std::uint64_t tag_of(TBit side, std::uint16_t domain, unsigned page_class, Iova address) {
  const std::uint64_t page = raw(address) >> kShifts[page_class];
  return kTagValid | bit_of(side) << kTagSide | std::uint64_t{page_class} << kTagClass |
         page << kTagPage | domain;
}

// Neighbouring pages lie in neighbouring slots, and domains that map the same
// addresses do not meet there.
std::uint64_t slot_of(TBit side, std::uint16_t domain, unsigned page_class, Iova address) {
  return (raw(address) >> kShifts[page_class]) + domain * 1031ULL + page_class * 2039ULL +
         bit_of(side) * 521ULL;
}

// Context tag: requester 15:0, side 16, valid 17. Value: pass-through 0,
// domain 23:8, frame number 63:24.
std::uint64_t context_tag(TBit side, std::uint16_t rid) {
  return std::uint64_t{1} << 17U | bit_of(side) << 16U | rid;
}
std::uint64_t context_slot(TBit side, std::uint16_t rid) { return rid + bit_of(side) * 257ULL; }

}  // namespace

std::optional<IotlbEntry> Iotlb::find(TBit side, std::uint16_t domain, Iova address) const {
  const std::uint64_t classes = classes_[bit_of(side)].load();
  for (unsigned n = 0; n < kClasses; ++n) {
    if ((classes >> n & 1U) == 0) continue;
    const auto value =
        cache_.find(slot_of(side, domain, n, address), tag_of(side, domain, n, address));
    if (!value) continue;
    return IotlbEntry{.page = Hpa{*value >> kValueFrame << kPageShift},
                      .shift = kShifts[n],
                      .readable = (*value & kReadable) != 0,
                      .writable = (*value & kWritable) != 0,
                      .key = static_cast<KeyId>(*value >> kValueKey & 0xffffU)};
  }
  return std::nullopt;
}

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

std::optional<ContextEntry> ContextCache::find(TBit side, std::uint16_t rid) const {
  const auto value = cache_.find(context_slot(side, rid), context_tag(side, rid));
  if (!value) return std::nullopt;
  return ContextEntry{.second_stage = Hpa{*value >> kValueFrame << kPageShift},
                      .domain = static_cast<std::uint16_t>(*value >> 8U & 0xffffU),
                      .pass_through = (*value & 1U) != 0};
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
