#pragma once

#include <cstdint>
#include <functional>

#include "explore/fault_bound.h"
#include "explore/run.h"
#include "explore/strategy.h"
#include "schedule/fiber_controller.h"

namespace teeio::explore {

/// Many schedules of one scenario, with its limits, and what they showed: the
/// loop that explorations are made of.
///
/// Lifetime: within that of what it was made from.
class Session {
 public:
  enum class Stop : std::uint8_t {
    kNone,
    kExhausted,  ///< the strategy has no further schedule
    kFound,      ///< see result().failure
    kLimit,      ///< see result().bound
  };

  Session(const Scenario& scenario, const Options& options, Strategy& strategy);

  /// Runs one schedule, unless a limit is reached.
  Stop step();
  /// Steps until it stops.
  Stop run();

  /// Whether the answers of further schedules count (Scenario::answers).
  void count_answers(bool count) { counts_answers_ = count; }

  /// So far; the verdict is finish()'s.
  [[nodiscard]] const ScenarioResult& result() const { return result_; }
  /// What the strategy knows of how far it is, for Progress.
  std::function<double()> share_done;
  /// Told after each run, while the controller still knows its names.
  std::function<void(const schedule::FiberController&)> after_run;

  /// The result: a failure shrunk, the verdict given.
  [[nodiscard]] ScenarioResult finish(Stop stop);

 private:
  [[nodiscard]] bool is_at_limit();
  /// In what the run of `outcome`, whose calls answered so, differs when it is made again; empty:
  /// in nothing.
  [[nodiscard]] std::string varies(const schedule::Outcome& outcome,
                                   const std::vector<Answers::Noted>& answered) const;

  const Scenario& scenario_;
  const Options& options_;
  FaultBound bound_;
  Strategy& strategy_;
  schedule::FiberController controller_;
  const std::uint64_t start_ns_;            ///< by the clock
  const std::uint64_t processor_start_ns_;  ///< of this OS thread
  ScenarioResult result_;
  bool counts_answers_ = true;
};

}  // namespace teeio::explore
