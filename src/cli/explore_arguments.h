#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "explore/jobs/verdict.h"
#include "explore/run.h"
#include "explore/shard.h"

namespace teeio::cli {

class Command;

/// What the user said to `teeio explore`.
struct ExploreArguments {
  std::vector<std::string> wanted;  ///< patterns of names, and files of text scenarios
  std::string design;               ///< the one design to run on; empty: the default ones
  std::string machine;              ///< a machine file instead
  bool list = false;
  bool chart = false;
  explore::Demands demands;
  bool tap = false;
  bool progress = true;
  unsigned jobs = 0;  ///< 0: as many as there are processors
  explore::Options options;
  std::optional<explore::Shard> shard;
  std::string save, resume, json, junit;
  /// --coverage: where the report goes, "" for stdout.
  std::optional<std::string> coverage;
  std::string seeded_bug;
  /// --designs: the table of all designs; where it goes, "" for stdout.
  std::optional<std::string> designs;
  std::string seeded_file;  ///< --seeded-bugs: where its table goes
};

// Exit statuses of `teeio explore`.
inline constexpr int kExploreHolds = 0;
inline constexpr int kExploreFound = 1;     ///< a scenario ended otherwise than it says
inline constexpr int kExploreOpen = 2;      ///< --require-exhausted: orders are left, no more
inline constexpr int kExploreSignal = 128;  ///< and the number of the signal that stopped it
inline constexpr int kExploreUsage = 125;   ///< also: a file that cannot be read or written

/// Declares `explore` and `explore merge` below `root`; chosen, they do `explore`
/// and `merge`.
void declare_explore(Command& root, std::function<int(const ExploreArguments&)> explore,
                     std::function<int(const std::vector<std::string>&)> merge);

/// `teeio explore merge FILE...`
[[nodiscard]] int merge_shards(const std::vector<std::string>& files);

}  // namespace teeio::cli
