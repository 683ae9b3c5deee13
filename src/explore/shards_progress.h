#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "explore/saved.h"

namespace teeio::explore {

/// How far one shard is, as its file says.
struct ShardProgress {
  Shard shard;
  std::uint64_t begun = 0;   ///< scenarios of which it did something
  std::uint64_t wanted = 0;  ///< scenarios in all
  std::uint64_t done = 0;    ///< parts run to their end
  std::uint64_t parts = 0;   ///< parts that are this shard's, of the scenarios begun
  std::uint64_t schedules = 0;
  double share = 0;                ///< of all that it is to do, each scenario counting alike
  std::vector<std::string> found;  ///< scenarios that failed, whatever was expected of them
  std::string interrupted;         ///< "SIGINT", if it was stopped
  /// Nothing is left for it to do: each scenario is done or was ended by what it found or by
  /// its bound.
  bool ended = false;
};

[[nodiscard]] ShardProgress progress_of(const Saved& shard);

/// How far all shards of one exploration are: a line over all, then one a shard, also for
/// those of which there is no file. Errors: as merge(), since shards of two explorations
/// have no progress together.
[[nodiscard]] std::expected<std::string, std::string> shards_progress(
    std::span<const Saved> shards);

}  // namespace teeio::explore
