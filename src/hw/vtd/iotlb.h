#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/types.h"
#include "hw/dma.h"
#include "hw/physical_memory.h"
#include "hw/tagged_cache.h"
#include "hw/vtd/context.h"
#include "schedule/cache_word.h"

namespace teeio::hw {

namespace iotlb_format {

inline constexpr unsigned kClasses = 3;
inline constexpr std::array<unsigned, kClasses> kShifts = {12, 21, 30};

// Tag: domain 15:0, page number 51:16, page class 53:52, side 54, valid 55.
inline constexpr unsigned kTagPage = 16;
inline constexpr unsigned kTagClass = 52;
inline constexpr unsigned kTagSide = 54;
inline constexpr std::uint64_t kTagValid = std::uint64_t{1} << 55U;
// Value: readable 0, writable 1, key 23:8, frame number 63:24.
inline constexpr std::uint64_t kReadable = 1;
inline constexpr std::uint64_t kWritable = 2;
inline constexpr unsigned kValueKey = 8;
inline constexpr unsigned kValueFrame = 24;

constexpr std::uint64_t bit_of(TBit side) { return std::to_underlying(side); }

constexpr std::uint64_t tag_of(TBit side, std::uint16_t domain, unsigned page_class, Iova address) {
  const std::uint64_t page = raw(address) >> kShifts[page_class];
  return kTagValid | bit_of(side) << kTagSide | std::uint64_t{page_class} << kTagClass |
         page << kTagPage | domain;
}

// Neighbouring pages lie in neighbouring slots, and domains that map the same
// addresses do not meet there.
constexpr std::uint64_t slot_of(TBit side, std::uint16_t domain, unsigned page_class,
                                Iova address) {
  return (raw(address) >> kShifts[page_class]) + domain * 1031ULL + page_class * 2039ULL +
         bit_of(side) * 521ULL;
}

constexpr unsigned class_of(unsigned shift) { return shift == 12 ? 0 : shift == 21 ? 1 : 2; }

constexpr std::uint64_t pack(const IotlbEntry& entry) {
  return raw(entry.page) >> kPageShift << kValueFrame |
         std::uint64_t{std::to_underlying(entry.key)} << kValueKey |
         (entry.writable ? kWritable : 0) | (entry.readable ? kReadable : 0);
}
constexpr IotlbEntry unpack(std::uint64_t value, unsigned page_class) {
  return {.page = Hpa{value >> kValueFrame << kPageShift},
          .shift = kShifts[page_class],
          .readable = (value & kReadable) != 0,
          .writable = (value & kWritable) != 0,
          .key = static_cast<KeyId>(value >> kValueKey & 0xffffU)};
}

// Context tag: requester 15:0, side 16, valid 17, PASID 37:18, a PASID at all 38.
// Value: kind 1:0, domain 23:8.
constexpr std::uint64_t context_tag(TBit side, Requester from) {
  const std::uint64_t pasid =
      from.pasid ? std::uint64_t{1} << 38U | std::uint64_t{std::to_underlying(*from.pasid)} << 18U
                 : 0;
  return pasid | std::uint64_t{1} << 17U | bit_of(side) << 16U | from.rid;
}
constexpr std::uint64_t context_slot(TBit side, Requester from) {
  const std::uint64_t pasid = from.pasid ? 31ULL + std::to_underlying(*from.pasid) * 37ULL : 0;
  return from.rid + bit_of(side) * 257ULL + pasid;
}

}  // namespace iotlb_format

/// Second-stage translations by (side, domain, address), all page sizes.
/// Source: Intel VT-d spec 6.2.5, IOTLB tagging.
///
/// Locking: find() from any task, the others under the VtdIommu's lock.
class Iotlb {
 public:
  static constexpr std::size_t kSlots = 4096;

  /// Precondition: `address` is below 2^48.
  [[nodiscard]] std::optional<IotlbEntry> find(TBit side, std::uint16_t domain, Iova address) const;
  void insert(TBit side, std::uint16_t domain, Iova address, const IotlbEntry& entry);
  void drop_side(TBit side);
  void drop_domain(TBit side, std::uint16_t domain);
  /// Drops every entry whose page meets [start, start + size_bytes).
  void drop_range(TBit side, std::uint16_t domain, Iova start, std::uint64_t size_bytes);

 private:
  template <class Matches>
  void drop_if(Matches matches);
  void drop_class(TBit side, std::uint16_t domain, unsigned page_class, Iova start, Iova last);

  TaggedCache<kSlots> cache_;
  // Bit n: pages of class n (4 KiB, 2 MiB, 1 GiB) were inserted since the last
  // drop_side(), so that a look-up does not probe sizes that nobody uses.
  std::array<schedule::CacheWord, 2> classes_;
};

/// Context and PASID cache by (side, requester). Locking: as Iotlb.
class ContextCache {
 public:
  static constexpr std::size_t kSlots = 512;

  /// What a request that finds its translation needs of an entry.
  struct Hit {
    ContextEntry::Kind kind;
    std::uint16_t domain;
  };
  [[nodiscard]] std::optional<Hit> find(TBit side, Requester from) const;
  /// All of it, for a walk; not without the lock.
  [[nodiscard]] std::optional<ContextEntry> entry(TBit side, Requester from) const;
  void insert(TBit side, Requester from, const ContextEntry& entry);
  void drop_side(TBit side);
  /// Every PASID of a function.
  void drop_function(TBit side, std::uint16_t rid);
  /// One PASID of every function in a domain; 0 is RID_PASID too.
  void drop_pasid(TBit side, std::uint16_t domain, Pasid pasid);

 private:
  template <class Matches>
  void drop_if(TBit side, Matches matches);

  TaggedCache<kSlots> cache_;
  std::array<ContextEntry, kSlots> entries_{};
};

// Inline: every request of every device comes through these two.

inline std::optional<IotlbEntry> Iotlb::find(TBit side, std::uint16_t domain, Iova address) const {
  using namespace iotlb_format;
  const std::uint64_t classes = classes_[bit_of(side)].load();
  for (unsigned n = 0; n < kClasses; ++n) {
    if ((classes >> n & 1U) == 0) continue;
    const auto value =
        cache_.find(slot_of(side, domain, n, address), tag_of(side, domain, n, address));
    if (!value) continue;
    return unpack(*value, n);
  }
  return std::nullopt;
}

inline std::optional<ContextCache::Hit> ContextCache::find(TBit side, Requester from) const {
  using namespace iotlb_format;
  const auto value = cache_.find(context_slot(side, from), context_tag(side, from));
  if (!value) return std::nullopt;
  return Hit{.kind = static_cast<ContextEntry::Kind>(*value & 3U),
             .domain = static_cast<std::uint16_t>(*value >> 8U & 0xffffU)};
}

}  // namespace teeio::hw
