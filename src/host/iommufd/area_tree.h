#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>

#include "host/iommufd/area.h"
#include "host/iommufd/iopt_pages.h"

namespace teeio::iommufd {

/// The areas of one IOAS by IOVA (Linux: iopt->area_itree). Areas do not
/// overlap, so order by first IOVA is order by last IOVA.
///
/// A tree of small sorted arrays: with a million areas a look-up touches one
/// array instead of twenty scattered nodes. Who changes it looks at a place, and
/// then changes that place: the last two are remembered.
///
/// Lifetime: areas are owned by the tree from insert() to take().
/// Locking: none; iova_rwsem of the owner, for writing but for const methods.
class AreaTree {
 public:
  AreaTree() = default;
  AreaTree(const AreaTree&) = delete;
  AreaTree& operator=(const AreaTree&) = delete;
  ~AreaTree();

  /// The lowest area that has an IOVA in [first, last]; null if there is none.
  [[nodiscard]] Area* first_in(std::uint64_t first, std::uint64_t last) const;
  /// The same, for who changes the tree there next.
  [[nodiscard]] Area* seek(std::uint64_t first, std::uint64_t last);
  /// The next area above `area`; null at the end.
  [[nodiscard]] Area* next(const Area& area) const;
  /// Precondition: overlaps no other.
  void insert(AreaPtr area);
  /// Precondition: is in the tree.
  AreaPtr take(Area& area);
  [[nodiscard]] bool empty() const { return chunks_.empty(); }

 private:
  static constexpr std::uint32_t kChunkAreas = 64;
  /// An area with its bounds beside it, so that a search reads no other area.
  struct Entry {
    std::uint64_t first;
    std::uint64_t last;
    Area* area;
  };
  /// Sorted, never empty. What is taken from the front leaves room there, as in a ring of buffers.
  struct Chunk {
    std::uint32_t begin = 0;
    std::uint32_t count = 0;
    std::array<Entry, kChunkAreas> room;
    [[nodiscard]] const Entry* entries() const { return room.data() + begin; }
    [[nodiscard]] Entry* entries() { return room.data() + begin; }
    /// Index of the lowest area that starts above `iova`.
    [[nodiscard]] std::uint32_t above(std::uint64_t iova) const;
    void insert_at(std::uint32_t index, Area* area);
    void erase_at(std::uint32_t index);
    void append_from(Chunk& other, std::uint32_t first);  ///< to an empty one
  };
  using Chunks = std::map<std::uint64_t, std::unique_ptr<Chunk>>;
  /// The chunk that would hold IOVAs from `first` to `last`; first > last: none.
  struct Place {
    std::uint64_t first = 1;
    std::uint64_t last = 0;
    Chunks::const_iterator chunk = {};
  };
  /// The chunk that would hold `iova`; end() only without chunks.
  Chunks::const_iterator chunk_of(std::uint64_t iova) const;
  /// The same, remembered until the chunks change. Precondition: not empty.
  const Place& place_of(std::uint64_t iova);
  void forget_places() { places_ = {}; }
  /// `own_last`: the last IOVA that only the chunk at `at` can hold; 0: not known.
  Area* first_at(Chunks::const_iterator at, std::uint64_t own_last, std::uint64_t first,
                 std::uint64_t last) const;
  Chunk& make_room(Chunks::const_iterator at, std::uint32_t& index, std::uint64_t first);

  /// By a number at or below the first IOVA of each chunk and above those of
  /// the one before, whose last area may reach beyond it.
  Chunks chunks_;
  std::array<Place, 2> places_;  ///< the last one first
};

}  // namespace teeio::iommufd
