#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "base/types.h"
#include "hw/dma.h"
#include "hw/vtd/context.h"
#include "hw/vtd/iotlb.h"
#include "schedule/cache_word.h"

namespace teeio::hw {

/// First-stage translations nested in a second stage, by (side, domain, PASID, address).
/// Source: Intel VT-d spec 6.2.5, IOTLB tagging: entries of a first stage have a PASID too,
/// RID_PASID for a request without.
///
/// An entry has three words, each mixed with the value, so that one that is torn matches no
/// tag (as hw/tagged_cache.h).
///
/// An index in the order of addresses says where entries are, so that what a program drops costs
/// by what there is of it: IOMMU_HWPT_INVALIDATE has up to 2^19 ranges a call.
///
/// Locking: find() from any task, the others under the VtdIommu's lock.
class NestedTlb {
 public:
  static constexpr std::size_t kSlots = 4096;

  struct Space {
    TBit side;
    std::uint16_t domain;
    Pasid pasid;
  };
  /// Precondition: the address is canonical.
  [[nodiscard]] std::optional<IotlbEntry> find(const Space& space, Iova address) const;
  void insert(const Space& space, Iova address, const IotlbEntry& entry);
  void drop_side(TBit side);
  void drop_domain(TBit side, std::uint16_t domain);
  void drop_space(const Space& space);
  /// Drops every entry of the space whose page meets [first, last].
  void drop_range(const Space& space, Iova first, Iova last);

 private:
  struct Entry {
    schedule::CacheWord value, page, space;
  };
  /// What the entry of a slot is of; a page tag of 0: nothing.
  struct Tags {
    std::uint64_t page;
    std::uint64_t space;
  };
  [[nodiscard]] static std::uint64_t space_tag(Pasid pasid) {
    return std::uint64_t{1} << kPasidBits | std::to_underlying(pasid);
  }
  [[nodiscard]] static std::size_t slot_of(const Space& space, unsigned page_class, Iova address) {
    return (iotlb_format::slot_of(space.side, space.domain, page_class, address) +
            std::to_underlying(space.pasid) * 769ULL) %
           kSlots;
  }
  [[nodiscard]] static Iova low48(Iova address) {
    return Iova{raw(address) & ((std::uint64_t{1} << 48U) - 1)};
  }
  [[nodiscard]] static Tags tags_at(const Entry& entry) {
    const std::uint64_t value = entry.value.load();
    return {entry.page.load() ^ value, entry.space.load() ^ value};
  }
  /// Whose an entry is: domain 15:0, space tag 36:16, side 37; and where: page number 35:0,
  /// class 37:36.
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  static constexpr unsigned kOwnerSide = 37;
  [[nodiscard]] static Key key_of(const Tags& tags);
  [[nodiscard]] static std::uint64_t owner_of(const Space& space);
  static void store(Entry& entry, const Tags& tags, std::uint64_t value);
  void drop_between(const Key& first, const Key& last);
  template <class Matches>
  void drop_if(Matches matches);

  std::array<Entry, kSlots> entries_;
  std::map<Key, std::size_t> slots_;            ///< of entries that are there
  std::array<schedule::CacheWord, 2> classes_;  ///< as Iotlb has them
};

inline std::optional<IotlbEntry> NestedTlb::find(const Space& space, Iova address) const {
  using namespace iotlb_format;
  const std::uint64_t classes = classes_[bit_of(space.side)].load();
  const Iova low = low48(address);
  for (unsigned n = 0; n < kClasses; ++n) {
    if ((classes >> n & 1U) == 0) continue;
    const Entry& entry = entries_[slot_of(space, n, low)];
    const std::uint64_t value = entry.value.load();
    if ((entry.page.load() ^ value) == tag_of(space.side, space.domain, n, low) &&
        (entry.space.load() ^ value) == space_tag(space.pasid))
      return unpack(value, n);
  }
  return std::nullopt;
}

}  // namespace teeio::hw
