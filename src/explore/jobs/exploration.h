#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "explore/coverage.h"
#include "explore/jobs/pace.h"
#include "explore/jobs/reports.h"
#include "explore/jobs/verdict.h"
#include "explore/jobs/workers.h"
#include "explore/run.h"
#include "explore/saved.h"
#include "explore/scenario.h"
#include "explore/shard.h"

namespace teeio::explore {

/// Who shows an exploration. All but picture() is called in the parent.
class ExplorationListener {
 public:
  virtual ~ExplorationListener() = default;
  /// A picture of `failure`, in the child that found it.
  [[nodiscard]] virtual std::string picture(const Scenario& scenario, const Failure& failure) = 0;
  /// The command that shows it again.
  [[nodiscard]] virtual std::string replay(const Scenario& scenario, const Failure& failure) = 0;
  /// A scenario goes on.
  virtual void goes_on(const Scenario& scenario, const Progress& progress) = 0;
  /// Scenario `index` and all before it have come to their ends.
  virtual void ended(std::size_t index) = 0;
  /// There is more to save than a quarter of a second ago.
  virtual void has_more() = 0;
};

/// Many scenarios, each explored in a process of its own, and what came of them.
///
/// A process says lines: a letter, and what it means (exploration.cc). What of shards was
/// done before is not done again.
///
/// Lifetime: the listener outlives it. Locking: for one caller at a time.
class Exploration {
 public:
  struct Plan {
    Options options;
    Demands demands;
    std::optional<Shard> shard;  ///< results can be saved and gone on with
    unsigned jobs = 1;           ///< processes at a time
    /// Whether what is reached is noted; without shard. `reachable`: what is known before.
    bool coverage = false;
    std::vector<Covered> reachable = {};
  };

  Exploration(Plan plan, std::vector<Scenario> scenarios, ExplorationListener& listener);

  /// Goes on from `text`, what saved() once gave. Errors, a sentence: it is none, or of
  /// another exploration. Before run(), with a shard.
  [[nodiscard]] std::expected<void, std::string> resume(std::string_view text);

  /// Gives the signal that stopped it, or 0. Once.
  [[nodiscard]] int run();

  [[nodiscard]] std::size_t size() const { return scenarios_.size(); }
  [[nodiscard]] const Scenario& scenario(std::size_t index) const { return scenarios_[index]; }
  [[nodiscard]] const Plan& plan() const { return plan_; }
  [[nodiscard]] bool has_ended(std::size_t index) const { return ended_[index]; }
  /// As reports have it: nothing of a scenario that did not come to an end.
  [[nodiscard]] Reported reported(std::size_t index) const;
  /// What picture() gave; empty if nothing was found.
  [[nodiscard]] const std::string& picture(std::size_t index) const { return pictures_[index]; }
  /// "SIGINT"; empty if nothing stopped it.
  [[nodiscard]] const std::string& interrupted() const { return saved_.interrupted; }

  /// Plan::coverage: what was reached, of all scenarios that ended.
  [[nodiscard]] CoverageTotals coverage() const;

  /// All that is known, as JSON (saved.h); and as JUnit's XML.
  [[nodiscard]] std::string saved();
  [[nodiscard]] std::string junit() const;

 private:
  void work(std::size_t index, const Workers::Say& say);
  void heard(std::size_t index, const std::string& line);
  void child_ended(std::size_t index, const std::string& how);
  void goes_on(std::size_t index, const std::string& numbers);

  const Plan plan_;
  const std::vector<Scenario> scenarios_;
  ExplorationListener& listener_;
  std::vector<std::optional<ShardResult>> results_;  ///< also of before, of what is resumed
  std::vector<std::string> pictures_;
  std::vector<bool> ended_;
  std::size_t told_ = 0;  ///< scenarios whose end the listener has heard of
  Saved saved_;
  Pace saving_;
};

}  // namespace teeio::explore
