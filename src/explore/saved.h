#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "explore/run.h"
#include "explore/shard.h"

namespace teeio::explore {

/// What one process explored, as `--json` and `--save` write it and `--resume`
/// and `merge` read it.
struct Saved {
  std::string strategy;
  std::uint32_t failures = 0;  ///< --failures, or kNoLimit
  static constexpr std::uint32_t kNoLimit = 0xffff'ffff;
  Shard shard;
  std::vector<std::string> wanted;      ///< names of all scenarios that were asked for
  std::string interrupted;              ///< "SIGINT": it ended before all was explored
  std::vector<ShardResult> scenarios;   ///< those begun; without parts if not divided
  std::vector<CoverageTotal> coverage;  ///< of all of them; is not read again
};

/// One line of JSON a result: for pipes between processes.
[[nodiscard]] std::string to_json(const ShardResult& result);
/// Errors: a sentence, of what is no such line.
[[nodiscard]] std::expected<ShardResult, std::string> parse_result(std::string_view text);

[[nodiscard]] std::string to_json(const Saved& saved);
[[nodiscard]] std::expected<Saved, std::string> parse_saved(std::string_view text);

/// What several shards did together.
struct Merged {
  std::vector<ScenarioResult> scenarios;
  /// Why they are not the whole; empty: it is proved that they are. Each names
  /// the shard that is missing, and is ready to print.
  std::vector<std::string> gaps;
};

/// Puts shards of one exploration together. Proves that nothing is missing and
/// nothing counted twice: all shards saw the same division into parts (its digest
/// is a function of the scenario), each part 0 … n-1 was run to its end by exactly
/// one of them, and the scenarios are the same. Errors: shards of different
/// explorations, or one twice.
[[nodiscard]] std::expected<Merged, std::string> merge(std::span<const Saved> shards);

}  // namespace teeio::explore
