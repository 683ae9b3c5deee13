#pragma once

#include <cstddef>
#include <span>

namespace teeio::hw {

/// A BAR that is plain memory: its bytes can be moved into pages which a program
/// maps (VFIO's mmap), and back when that mapping is revoked.
///
/// Locking: any task; a leaf lock.
class PlainMemoryBar {
 public:
  virtual ~PlainMemoryBar() = default;
  /// Copies the bytes to `to` and answers from there; an empty span moves them
  /// back into the device's own storage. Precondition: `to` is empty or as long
  /// as the BAR, and lives until the next relocate().
  virtual void relocate(std::span<std::byte> to) = 0;
};

}  // namespace teeio::hw
