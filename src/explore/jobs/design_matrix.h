#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "explore/run.h"

namespace teeio::explore {

/// Every built-in scenario that must hold, on the whole product of disputed settings.
struct DesignMatrix {
  /// A broken scenario, as a table shows it.
  struct Broken {
    std::string scenario, rule, what, words, replay;
    std::uint64_t switches = 0, steps = 0;
    [[nodiscard]] auto cost() const { return std::tuple(switches, steps, replay.size(), scenario); }
  };
  /// What all scenarios said of one design.
  struct Row {
    unsigned proved = 0, bounded = 0, broken = 0, reused = 0;
    std::uint64_t schedules = 0;  ///< that were run for it
    std::optional<Broken> shortest;
    std::map<std::string, unsigned> rules;  ///< how many scenarios broke each
  };

  std::vector<Row> rows;  ///< of all_designs()
  std::size_t scenarios = 0;
  std::string crashed;  ///< a line for each scenario whose process died; then rows say too little
  int signal = 0;       ///< that stopped it
};

/// Explores them, a scenario a process; `progress` hears how many of how many are done.
[[nodiscard]] DesignMatrix explore_all_designs(
    const Options& options, unsigned jobs,
    const std::function<void(std::size_t done, std::size_t all)>& progress);

}  // namespace teeio::explore
