#pragma once

#include <deque>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "explore/scenario.h"
#include "machine/config.h"
#include "object/event.h"

namespace teeio::explore {

/// A scenario for any machine: a body that is given the design to run on.
struct MachineScenario {
  std::string name;         ///< as Scenario::name
  std::string description;  ///< one sentence
  std::function<void(const machine::Config& design)> body = {};
  /// Instead of `body`: calls, and a body that notes what they answer.
  struct Noting {
    std::function<std::vector<CallAnswers>(const machine::Config& design)> calls = {};
    std::function<void(const machine::Config& design, Answers& answers)> body = {};
  };
  Noting noting = {};
  /// Firmwares it is for; empty: all that a design may name.
  std::vector<machine::TsmKind> firmware = {};
  /// Whether it says something about this design; empty: about each.
  std::function<bool(const machine::Config& design)> fits = {};
  std::uint32_t failures = 0;  ///< as Scenario::failures
  schedule::RunLimits limits = {};
  /// As Scenario::expectation. One that breaks is of the design that it chooses
  /// itself: it says nothing about others, and stays out of their table.
  Expectation expectation = {};
  std::vector<KeptSchedule> kept = {};  ///< as Scenario::kept
};

/// All built-in scenarios, in one order.
[[nodiscard]] std::span<const MachineScenario> catalogue();

/// The built-in designs that `teeio explore` takes when none is named: the
/// smallest machine of each firmware.
[[nodiscard]] std::span<const machine::Config> default_designs();

/// The machine with its card twice: the second is 0000:09:00.0, behind a root port of its own.
[[nodiscard]] machine::Config with_second_card(const machine::Config& design);

[[nodiscard]] bool applies(const MachineScenario& scenario, const machine::Config& design);

/// `scenario` on `design`, named "NAME@DESIGN" (Config::name).
/// Lifetime: both may go; they are copied.
[[nodiscard]] Scenario make_scenario(const MachineScenario& scenario,
                                     const machine::Config& design);

/// From now on the machine that a body makes keeps its events (off at first:
/// an exploration needs none).
void keep_events(bool keep);
/// The events of the machine of the last run, if they were kept and the run
/// ended in a finding (which keeps its machine).
[[nodiscard]] const std::deque<object::Event>& kept_events();

}  // namespace teeio::explore
