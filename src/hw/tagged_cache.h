#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

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

}  // namespace teeio::hw
