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

// Context tag: requester 15:0, side 16, valid 17. Value: pass-through 0,
// domain 23:8, frame number 63:24.
constexpr std::uint64_t context_tag(TBit side, std::uint16_t rid) {
  return std::uint64_t{1} << 17U | bit_of(side) << 16U | rid;
}
constexpr std::uint64_t context_slot(TBit side, std::uint16_t rid) {
  return rid + bit_of(side) * 257ULL;
}

}  // namespace iotlb_format

/// What a second-stage walk found.
struct IotlbEntry {
  Hpa page;        ///< aligned to the page's size
  unsigned shift;  ///< log2 of the page's size: 12, 21 or 30
  bool readable;
  bool writable;
  KeyId key;  ///< of the domain
};

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

/// What the tables say about a function: its PASID table entry.
struct ContextEntry {
  Hpa second_stage;
  std::uint16_t domain;
  bool pass_through;
};

/// Context and PASID cache by (side, requester). Locking: as Iotlb.
class ContextCache {
 public:
  static constexpr std::size_t kSlots = 512;

  [[nodiscard]] std::optional<ContextEntry> find(TBit side, std::uint16_t rid) const;
  void insert(TBit side, std::uint16_t rid, const ContextEntry& entry);
  void drop_side(TBit side);
  void drop_function(TBit side, std::uint16_t rid);

 private:
  TaggedCache<kSlots> cache_;
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
    return IotlbEntry{.page = Hpa{*value >> kValueFrame << kPageShift},
                      .shift = kShifts[n],
                      .readable = (*value & kReadable) != 0,
                      .writable = (*value & kWritable) != 0,
                      .key = static_cast<KeyId>(*value >> kValueKey & 0xffffU)};
  }
  return std::nullopt;
}

inline std::optional<ContextEntry> ContextCache::find(TBit side, std::uint16_t rid) const {
  using namespace iotlb_format;
  const auto value = cache_.find(context_slot(side, rid), context_tag(side, rid));
  if (!value) return std::nullopt;
  return ContextEntry{.second_stage = Hpa{*value >> kValueFrame << kPageShift},
                      .domain = static_cast<std::uint16_t>(*value >> 8U & 0xffffU),
                      .pass_through = (*value & 1U) != 0};
}

}  // namespace teeio::hw
