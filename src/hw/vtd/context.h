#pragma once

#include <cstdint>

#include "base/types.h"
#include "hw/physical_memory.h"

namespace teeio::hw {

/// What the tables say about a requester: its PASID table entry.
struct ContextEntry {
  enum class Kind : std::uint8_t { kSecondStage, kNested, kPassThrough };
  Kind kind = Kind::kSecondStage;
  bool tracks_dirty = false;  ///< SSADE: the walk sets A and D in second-stage entries
  std::uint16_t domain = 0;
  Hpa second_stage{0};
  std::uint64_t first_stage = 0;  ///< of a nested one: where in the second stage's input
};

/// A translation that a walk found.
struct IotlbEntry {
  Hpa page;        ///< aligned to the page's size
  unsigned shift;  ///< log2 of the page's size: 12, 21 or 30
  bool readable;
  /// Writes may use it without a walk: they are permitted, and no dirty bit is missing.
  bool writable;
  KeyId key;  ///< of the domain
};

}  // namespace teeio::hw
