#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sweep/trial.h"
#include "sweep/variation.h"

namespace teeio::cli {

class Command;

/// What the user said after `teeio sweep`.
struct SweepArguments {
  sweep::TrialOptions trial;
  sweep::Selection selection;
  std::string machine;                   ///< --machine FILE; empty: the built-in one
  std::string rules;                     ///< --rules, as it was said; empty if it was not
  unsigned jobs = 0;                     ///< --jobs
  std::optional<std::uint32_t> limit_s;  ///< --limit; none: from the first run
  std::uint8_t status = 0;               ///< --status: the first run's
  std::string resume;                    ///< --resume FILE
  std::vector<std::string> from;         ///< --from FILE: what other shards keep
  std::string json;                      ///< --json FILE
  std::string junit;                     ///< --junit FILE
  bool verbose = false;                  ///< -v
  bool list = false;                     ///< --list
};

/// Declares `sweep` below `root`; chosen, it does `body`.
void declare_sweep(Command& root, std::function<int(const SweepArguments&)> body);

}  // namespace teeio::cli
