#pragma once

#include <cstdint>

#include "host/iommu/iommu.h"

namespace teeio::iommu {

/// Tells a visitor of dirty pages, found in ascending order, neighbours as one range.
class DirtyRuns {
 public:
  DirtyRuns(DirtyTracking::Clear clear, DirtyTracking::Visitor& visitor)
      : clears_(clear == DirtyTracking::Clear::kYes), visitor_(visitor) {}
  ~DirtyRuns() { tell(); }
  DirtyRuns(const DirtyRuns&) = delete;
  DirtyRuns& operator=(const DirtyRuns&) = delete;

  /// [first, last] is dirty. Gives whether its dirty bit is to be cleared.
  bool dirty(std::uint64_t first, std::uint64_t last) {
    if (length_ != 0 && first_ + length_ != first) tell();
    if (length_ == 0) first_ = first;
    length_ += last - first + 1;
    cleared_ = clears_;
    return clears_;
  }
  [[nodiscard]] bool cleared() const { return cleared_; }

 private:
  void tell() {
    if (length_ != 0) visitor_.dirty(first_, length_);
    length_ = 0;
  }
  const bool clears_;
  DirtyTracking::Visitor& visitor_;
  bool cleared_ = false;
  std::uint64_t first_ = 0;
  std::uint64_t length_ = 0;
};

}  // namespace teeio::iommu
