#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/explore_arguments.h"
#include "explore/jobs/verdict.h"
#include "explore/run.h"
#include "explore/scenario.h"

namespace teeio::cli {

/// "ok exhausted 812 0.04s NAME", "ok bounded 20000 3.1s NAME (bound)",
/// "FAIL 17 0.01s NAME: rule"; of one that says how it breaks "ok found 17 0.01s
/// NAME: rule" or, where it did not, "FAIL exhausted 812 0.04s NAME: holds".
[[nodiscard]] std::string result_line(const explore::ScenarioResult& result,
                                      const explore::Judgement& judgement, bool colour);

/// The command that shows a finding again.
[[nodiscard]] std::string replay_of(const explore::Scenario& scenario,
                                    const explore::Failure& failure,
                                    const ExploreArguments& arguments);

/// What a failure is, in words; then `chart`; then `replay`, the command that shows it again.
[[nodiscard]] std::string failure_text(const explore::Failure& failure, bool shrunk,
                                       const std::string& chart, const std::string& replay);

/// What each call of its threads answered, and calls of its end that did not always
/// answer alike: a line each.
[[nodiscard]] std::string answers_text(const explore::ScenarioResult& result);
/// Of one that is not exhausted, where its orders come from: a line, or empty.
[[nodiscard]] std::string contention_text(const explore::ScenarioResult& result);

/// Of one that broke as it says: what was found, and `replay`.
[[nodiscard]] std::string expected_text(const explore::Failure& failure, const std::string& replay);

/// The chart of the failing run, whose machine must be this process's last one
/// with its events kept: lanes, and a note wherever another task goes on. Unless
/// `whole`, from where the scenario's tasks begin. The steps of locks and counts
/// (Failure::story) if there was no machine.
[[nodiscard]] std::string failure_chart(const explore::Failure& failure, bool whole, bool colour);

/// "62 scenarios: 40 exhausted, 20 bounded, 2 failed; 81234 schedules, 9.1 M points".
struct Totals {
  std::uint64_t exhausted = 0, bounded = 0, broken = 0, failed = 0, schedules = 0, points = 0;
  std::uint64_t warnings = 0;
  std::optional<std::uint32_t> failures;  ///< --failures: scenarios may say more
  std::optional<explore::Shard> shard;    ///< of which all this is; none: of the whole
  void add(const explore::ScenarioResult& result, const explore::Judgement& judgement);
  [[nodiscard]] std::string text() const;
  /// A line each for the calls of many scenarios that never succeeded in any; may be empty.
  [[nodiscard]] std::string never_succeeded_text(bool strict) const;
  explore::AnswersOfMany of_many;
};

/// One line on standard error that is written over, if that is a terminal.
class ProgressLine {
 public:
  explicit ProgressLine(bool wanted);
  void show(const std::string& text);
  void clear();

 private:
  const bool shown_;
  bool dirty_ = false;
};

}  // namespace teeio::cli
