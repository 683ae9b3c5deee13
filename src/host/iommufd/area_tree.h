#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "host/iommu/vtd/domain.h"
#include "host/iommufd/iopt_pages.h"
#include "object/ref.h"

namespace teeio::iommufd {

/// A run of IOVAs in use (Linux: struct iopt_area).
struct Area {
  std::uint64_t first;
  std::uint64_t last;
  std::uint64_t start_byte;  ///< into the pages
  vtd::Prot prot;
  /// Null while a call is still setting the area up or taking it down.
  object::Ref<IoptPages> pages;

  [[nodiscard]] std::uint64_t length() const { return last - first + 1; }
};

/// The areas of one IOAS by IOVA (Linux: iopt->area_itree). Areas do not
/// overlap, so order by first IOVA is order by last IOVA.
///
/// Lifetime: areas are owned by the tree from insert() to take().
/// Locking: none; iova_rwsem of the owner.
class AreaTree {
 public:
  /// The lowest area that has an IOVA in [first, last]; null if there is none.
  [[nodiscard]] Area* first_in(std::uint64_t first, std::uint64_t last);
  /// The next area above `area`; null at the end.
  [[nodiscard]] Area* next(const Area& area);
  /// Precondition: overlaps no other.
  void insert(std::unique_ptr<Area> area);
  std::unique_ptr<Area> take(Area& area);
  [[nodiscard]] bool empty() const { return areas_.empty(); }

 private:
  std::map<std::uint64_t, std::unique_ptr<Area>> areas_;
};

}  // namespace teeio::iommufd
