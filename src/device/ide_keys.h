#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "wire/ide_km.h"

namespace teeio::device {

/// The keys of one selective IDE stream at the end point: key set × direction ×
/// sub-stream, each absent, programmed or in use.
/// Source: PCIe Base Spec 6.33.3 (key programming, K_SET_GO, K_SET_STOP).
class IdeKeys {
 public:
  /// Stores a key. False when the key that it would replace is in use.
  bool program(wire::IdeKeySelector selector, const wire::IdeKey& key);
  /// Puts a key into use. False when it was never programmed.
  bool go(wire::IdeKeySelector selector);
  /// Takes a key out of use and forgets it; stopping an absent key is no error.
  void stop(wire::IdeKeySelector selector);
  void clear() { *this = {}; }
  /// All keys of one key set, both directions and three sub-streams, are in use.
  [[nodiscard]] bool ready() const;

 private:
  struct Entry {
    std::optional<wire::IdeKey> key;
    bool in_use = false;
  };
  static constexpr std::size_t kPerSet = 2 * wire::kIdeSubStreamCount;
  Entry& at(wire::IdeKeySelector selector);

  std::array<std::array<Entry, kPerSet>, 2> sets_;
};

}  // namespace teeio::device
