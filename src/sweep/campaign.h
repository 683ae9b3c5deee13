#pragma once

#include <expected>
#include <functional>
#include <vector>

#include "machine/machine.h"
#include "sweep/trial.h"
#include "sweep/variation.h"

namespace teeio::sweep {

/// What the first runs taught.
struct Learned {
  Outcome outcome;
  std::vector<run::Injector::Point> points;
  bool repeatable = true;  ///< the second run went the same way
  std::uint64_t took_ns = 0;
};

/// All runs of a program, each in a process of its own that begins as a copy of this one, in
/// which `machine` is at boot and stays so.
///
/// Lifetime: the machine outlives it. Locking: for one caller at a time, without other tasks.
class Campaign {
 public:
  Campaign(machine::Machine& machine, TrialOptions options, unsigned jobs)
      : machine_(machine), options_(std::move(options)), jobs_(jobs) {}

  /// Two runs in which nothing goes wrong. Errors: the signal that stopped it.
  [[nodiscard]] std::expected<Learned, int> learn();

  /// A run for each of `variations`; `done` hears of each as it ends, in any order. Gives
  /// the signal that stopped it, or 0: runs that were under way then count as not made.
  using Done = std::function<void(std::size_t index, Outcome outcome)>;
  [[nodiscard]] int run(const std::vector<Variation>& variations, const Done& done);

  void set_time_limit(std::uint64_t ms) { options_.time_ms = ms; }

 private:
  machine::Machine& machine_;
  TrialOptions options_;
  const unsigned jobs_;
};

}  // namespace teeio::sweep
