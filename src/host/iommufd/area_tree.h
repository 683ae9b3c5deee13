#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>

#include "host/iommu/iommu.h"
#include "host/iommufd/iopt_pages.h"
#include "object/ref.h"

namespace teeio::iommufd {

/// A run of IOVAs in use (Linux: struct iopt_area).
struct Area {
  std::uint64_t first;
  std::uint64_t last;
  std::uint64_t start_byte;  ///< into the pages
  iommu::Prot prot;
  /// Null while a call is still setting the area up or taking it down.
  object::Ref<IoptPages> pages;
  std::uint32_t accesses = 0;   ///< of the CPU, that hold pages (num_accesses)
  std::uint32_t locks = 0;      ///< those that do not let go (num_locks)
  bool prevent_access = false;  ///< a call waits for them to

  [[nodiscard]] std::uint64_t length() const { return last - first + 1; }
};

/// The areas of one IOAS by IOVA (Linux: iopt->area_itree). Areas do not
/// overlap, so order by first IOVA is order by last IOVA.
///
/// A tree of small sorted arrays: with a million areas a look-up touches one
/// array instead of twenty scattered nodes.
///
/// Lifetime: areas are owned by the tree from insert() to take().
/// Locking: none; iova_rwsem of the owner.
class AreaTree {
 public:
  AreaTree() = default;
  AreaTree(const AreaTree&) = delete;
  AreaTree& operator=(const AreaTree&) = delete;
  ~AreaTree();

  /// The lowest area that has an IOVA in [first, last]; null if there is none.
  [[nodiscard]] Area* first_in(std::uint64_t first, std::uint64_t last) const;
  /// The next area above `area`; null at the end.
  [[nodiscard]] Area* next(const Area& area) const;
  /// Precondition: overlaps no other.
  void insert(std::unique_ptr<Area> area);
  /// Precondition: is in the tree.
  std::unique_ptr<Area> take(Area& area);
  [[nodiscard]] bool empty() const { return chunks_.empty(); }

 private:
  static constexpr std::uint32_t kChunkAreas = 64;
  /// An area with its bounds beside it, so that a search reads no other area.
  struct Entry {
    std::uint64_t first;
    std::uint64_t last;
    Area* area;
  };
  /// Sorted, never empty.
  struct Chunk {
    std::uint32_t count = 0;
    std::array<Entry, kChunkAreas> entries;
    /// Index of the lowest area that starts above `iova`.
    [[nodiscard]] std::uint32_t above(std::uint64_t iova) const;
    void insert_at(std::uint32_t index, Area* area);
    void erase_at(std::uint32_t index);
    void append_from(Chunk& other, std::uint32_t begin);
  };
  using Chunks = std::map<std::uint64_t, std::unique_ptr<Chunk>>;
  /// The chunk that would hold `iova`; end() only without chunks.
  Chunks::const_iterator chunk_of(std::uint64_t iova) const;

  /// By a number at or below the first IOVA of each chunk and above those of
  /// the one before, whose last area may reach beyond it.
  Chunks chunks_;
};

}  // namespace teeio::iommufd
