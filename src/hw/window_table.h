#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/types.h"
#include "hw/physical_memory.h"

namespace teeio::hw {

/// Where windows lie on the bus. The address says which window it is: there is
/// one region for each power of two, and in it one slot of that size for each
/// window, so a window is aligned to its size rounded up (an IOMMU driver can
/// map a large one with large pages) and is found without a search.
///
/// Locking: none; PhysicalMemory's.
class WindowTable {
 public:
  /// Largest window: 2^46 bytes, the size of one region.
  static constexpr unsigned kRegionShift = 46;
  static constexpr std::size_t kClasses = kRegionShift - kPageShift + 1;
  /// Everything from here to the end of the last region belongs to windows.
  static constexpr Hpa kFirst{std::uint64_t{1} << kRegionShift};
  static constexpr Hpa kEnd{(kClasses + 1) << kRegionShift};

  struct Window {
    WindowTarget* target = nullptr;  ///< nullptr: the slot is free
    std::uint64_t size = 0;          ///< bytes
    std::uint32_t users = 0;         ///< accesses in progress
    bool leaving = false;            ///< unmap_window() waits for `users`
  };
  struct Place {
    Window* window;  ///< valid until the next add()
    std::uint64_t offset;
  };

  /// nullopt when the size is above 2^46 bytes or its region is full.
  std::optional<Hpa> add(WindowTarget& target, std::uint64_t size);
  /// Precondition: a window's base.
  void remove(Hpa base);
  /// The window that `address` lies in, leaving ones included.
  [[nodiscard]] std::optional<Place> find(Hpa address);

 private:
  struct Region {
    std::vector<Window> slots;
    std::vector<std::uint32_t> free;
  };
  std::array<Region, kClasses> regions_;
};

}  // namespace teeio::hw
