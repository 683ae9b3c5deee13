#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "schedule/touch.h"

namespace teeio::explore {

using schedule::Touch;

/// What a move tells and touches beside its operation: elements of what monitors guard, and
/// stories, which are elements that every teller writes. Known once the move is over.
///
/// Equal ones are kept once, by number, for there are few different ones in many schedules.
/// Lifetime: numbers hold as long as the pool.
class Footprints {
 public:
  using Number = std::uint32_t;
  static constexpr Number kNothing = 0;
  static constexpr Number kAnything = 1;  ///< not known: commutes with nothing but kNothing

  Footprints();
  /// Sorts `touches`, and leaves of each element what conflicts with most.
  [[nodiscard]] Number number_of(std::vector<Touch>& touches);
  [[nodiscard]] Number both(Number a, Number b);
  /// Whether two moves do not commute on some element.
  [[nodiscard]] bool conflict(Number a, Number b) const;
  /// Whether what does not commute with `part` does not with `whole` either.
  [[nodiscard]] bool includes(Number whole, Number part) const;
  [[nodiscard]] std::span<const Touch> touches(Number number) const;

  /// What told() of `story` (a bit's place) touches.
  [[nodiscard]] static Touch told(std::uint32_t story) { return {story, Touch::How::kWrite}; }
  [[nodiscard]] static bool is_story(std::uint64_t element) { return element < kStories; }

 private:
  static constexpr std::uint64_t kStories = 64;
  struct Range {
    std::uint32_t first, count;
  };
  std::vector<Touch> pool_;
  std::vector<Range> ranges_;
  std::unordered_multimap<std::uint64_t, Number> by_hash_;
  std::vector<Touch> joined_;
};

/// Adds what told() of these stories touches.
void add_stories(std::uint64_t stories, std::vector<Touch>& touches);

}  // namespace teeio::explore
