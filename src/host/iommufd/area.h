#pragma once

#include <cstdint>
#include <memory>

#include "host/iommu/iommu.h"
#include "object/ref.h"

namespace teeio::iommufd {

class IoptPages;

/// A run of IOVAs in use (Linux: struct iopt_area).
struct Area {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t start_byte = 0;  ///< into the pages
  /// Null while a call is still setting the area up or taking it down.
  object::Ref<IoptPages> pages = {};
  iommu::Prot prot{};
  bool prevent_access = false;  ///< a call waits for the CPU to let go
  bool in_pages = false;        ///< IoptPages::own_area
  std::uint32_t accesses = 0;   ///< of the CPU, that hold pages (num_accesses)
  std::uint32_t locks = 0;      ///< those that do not let go (num_locks)

  [[nodiscard]] std::uint64_t length() const { return last - first + 1; }
};

/// Frees an area, unless it is a part of its pages, which keep it.
struct AreaEnd {
  void operator()(Area* area) const;
};
using AreaPtr = std::unique_ptr<Area, AreaEnd>;

}  // namespace teeio::iommufd
