#pragma once

#include <string>
#include <vector>

#include "rules/census.h"
#include "rules/selection.h"
#include "rules/suppressions.h"
#include "rules/violation.h"

namespace teeio::rules {

/// What a run is judged by, and what became of it.
///
/// Locking: admits() is a Sanitizer::Gate, under the trace's lock; the rest when
/// no task emits.
class Verdict {
 public:
  Verdict(const Selection& selection, Suppressions suppressions)
      : selection_(selection), suppressions_(std::move(suppressions)) {}

  /// False for a rule that is off, and for what a suppression covers.
  [[nodiscard]] bool admits(const Violation& violation);

  [[nodiscard]] const Selection& selection() const { return selection_; }
  [[nodiscard]] const Suppressions& suppressions() const { return suppressions_; }
  /// Whether one of them fails the run.
  [[nodiscard]] bool is_broken(const std::vector<Violation>& violations) const;

 private:
  const Selection selection_;
  Suppressions suppressions_;
};

/// The end of a run, as its last line and its report files tell it.
struct Ending {
  const Verdict& verdict;
  const std::vector<Violation>& violations;
  const std::vector<Census::Difference>& differences;  ///< from boot, settings left out
  bool settings_changed = false;                       ///< those that were left out
  std::vector<std::string> command;
  std::string machine;  ///< its name
  int status = 0;       ///< the program's
  int exit = 0;         ///< teeio's
};

/// One line without a newline, "teeio: 4 reports: R4 ×2, R2 ×2, first at event
/// 776; exit 99". Rules are in the order in which they were first broken. Without
/// a report it says whether the machine is as it was at boot.
[[nodiscard]] std::string last_line(const Ending& ending);

/// `--report FILE.json`: everything that last_line() and violation_text() say.
[[nodiscard]] std::string ending_json(const Ending& ending);
/// `--report FILE.xml`: JUnit, a test for each rule, skipped where the rule is
/// off, and one for what the run left behind. A warning does not fail its test.
[[nodiscard]] std::string ending_junit(const Ending& ending);

}  // namespace teeio::rules
