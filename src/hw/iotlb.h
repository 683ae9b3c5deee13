#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/types.h"
#include "hw/dma.h"
#include "hw/physical_memory.h"
#include "schedule/cache_word.h"

namespace teeio::hw {

/// A direct-mapped cache of two-word entries that readers use without a lock.
/// An entry is stored as (tag ^ value, value): one that is torn by a writer at
/// work matches no tag and is a miss.
///
/// Locking: find() from any task; store() and clear() by one task at a time.
template <std::size_t kSlots>
class TaggedCache {
 public:
  static_assert((kSlots & (kSlots - 1)) == 0);

  /// The value stored for `tag` (never 0), or nullopt.
  [[nodiscard]] std::optional<std::uint64_t> find(std::uint64_t slot, std::uint64_t tag) const {
    const Entry& entry = entries_[slot % kSlots];
    const std::uint64_t value = entry.value.load();
    if ((entry.mixed.load() ^ value) != tag) return std::nullopt;
    return value;
  }
  void store(std::uint64_t slot, std::uint64_t tag, std::uint64_t value) {
    Entry& entry = entries_[slot % kSlots];
    entry.value.store(value);
    entry.mixed.store(tag ^ value);
  }
  /// The tag in a slot, 0 for none. For the writer.
  [[nodiscard]] std::uint64_t tag_at(std::uint64_t slot) const {
    const Entry& entry = entries_[slot % kSlots];
    return entry.mixed.load() ^ entry.value.load();
  }
  void clear(std::uint64_t slot) { store(slot, 0, 0); }

 private:
  struct Entry {
    schedule::CacheWord value, mixed;
  };
  std::array<Entry, kSlots> entries_;
};

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
/// Locking: find() from any task, the others under the Iommu's lock.
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

}  // namespace teeio::hw
