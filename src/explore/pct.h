#pragma once

#include <cstdint>
#include <vector>

#include "explore/strategy.h"

namespace teeio::explore {

/// Probabilistic concurrency testing: each task has a random priority, the
/// highest that can move does, and at `changes` random points the one that moves
/// falls below all others. Finds a bug that needs d ordered steps with a chance
/// of at least 1 / (n·k^(d-1)) a schedule, of n tasks and k points. Never ends
/// by itself.
///
/// Source: S. Burckhardt et al., "A Randomized Scheduler with Probabilistic
/// Guarantees of Finding Bugs", ASPLOS 2010.
class Pct final : public Strategy {
 public:
  /// As RandomWalk's `first` and `stride`. The length of a run, over which the
  /// changes are spread, is the longest seen so far.
  Pct(std::uint64_t seed, std::uint32_t changes, std::uint64_t first = 0, std::uint64_t stride = 1);

  [[nodiscard]] bool begin() override;
  [[nodiscard]] std::uint32_t pick(const Moment& moment) override;
  [[nodiscard]] std::uint32_t choose(std::uint32_t count) override;

 private:
  [[nodiscard]] std::uint64_t priority(std::uint32_t task);

  const std::uint64_t seed_;
  const std::uint32_t changes_;
  const std::uint64_t stride_;
  std::uint64_t next_;
  Random random_{0};
  std::uint64_t contested_ = 0;  // points with a choice in this run
  std::uint64_t longest_ = 64;   // and the most in any
  std::uint64_t lowest_ = 0;     // the last priority given at a change
  std::vector<std::uint64_t> priorities_;
  std::vector<std::uint64_t> change_at_;
};

}  // namespace teeio::explore
