#pragma once

#include <cstdint>

#include "explore/strategy.h"

namespace teeio::explore {

/// One alternative in eight of choose() is not the ordinary one: failures stay
/// rare enough that what comes after them is reached too.
inline constexpr std::uint32_t kOrdinaryInEight = 7;

/// At each point any task that can move, with equal chance. Never ends by itself.
/// Schedule number k of a seed is the same whatever ran before it.
class RandomWalk final : public Strategy {
 public:
  /// Runs the schedules first, first + stride, …: shards of one sequence.
  explicit RandomWalk(std::uint64_t seed, std::uint64_t first = 0, std::uint64_t stride = 1);

  [[nodiscard]] bool begin() override;
  [[nodiscard]] std::uint32_t pick(const Moment& moment) override;
  [[nodiscard]] std::uint32_t choose(std::uint32_t count) override;

 private:
  const std::uint64_t seed_;
  const std::uint64_t stride_;
  std::uint64_t next_;
  Random random_{0};
};

}  // namespace teeio::explore
