#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "explore/run.h"
#include "explore/scenario.h"

namespace teeio::explore {

/// Which of how many processes this is, that share one exploration without
/// talking to each other.
struct Shard {
  std::uint64_t index = 0;
  std::uint64_t count = 1;
};

/// One part of an exploration, that was run. Part 0 is the first schedule (the
/// one without preemption and failures); part k is Dpor::deviations()[k - 1].
/// With random strategies there are as many parts as shards.
struct PartResult {
  std::uint64_t part = 0;
  std::uint64_t schedules = 0;
  std::uint64_t pruned = 0;
  std::uint64_t points = 0;
  bool exhausted = false;  ///< nothing of it is left
};

/// What one shard did of one scenario.
struct ShardResult {
  ScenarioResult result;        ///< of its parts together
  std::uint64_t parts = 0;      ///< in which the whole is divided
  std::uint64_t partition = 0;  ///< a digest of the parts: the same in all shards
  std::vector<PartResult> done;
};

/// Explores the parts of `scenario` that are this shard's: those whose number is
/// `index` modulo `count`, but for those in `before` that are exhausted already
/// (they are counted). `on_part` is told each part when it is done. Strategies:
/// kDpor, kPct, kRandom.
///
/// How the whole is divided is a function of the scenario alone, since it is
/// read off the first schedule; how parts are disjoint and together the whole is
/// at Dpor::deviations().
///
/// Scenario::answers may bring what was counted before; schedules of a part that a
/// limit cut short then count twice.
[[nodiscard]] ShardResult run_shard(const Scenario& scenario, const Options& options,
                                    const Shard& shard, const std::vector<PartResult>& before,
                                    const std::function<void(const ShardResult&)>& on_part);

}  // namespace teeio::explore
