#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "explore/answers.h"
#include "explore/expectation.h"
#include "schedule/fiber_controller.h"
#include "schedule/strategy.h"

namespace teeio::explore {

/// A schedule that a scenario brings along: one that showed something once.
struct KeptSchedule {
  std::string where = {};  ///< how messages call its place: "line 7"
  schedule::Choices choices = {};
};

/// A program whose orders are explored: what a run does, once and for all
/// settings made (a scenario of explore/scenario on one design is such a one).
struct Scenario {
  /// Unique, without blanks, words joined by '-', groups by '/': "close/bound-vfio-kvm-iommufd".
  std::string name;
  std::string description;  ///< one sentence
  std::string file = {};    ///< that it was read from; empty: it is built in
  /// Runs as task 0 ("main"): makes everything it uses anew, spawns its tasks,
  /// joins them, and says what must hold with TEEIO_CHECK or check_failed().
  /// A broken life-cycle rule is check_failed("R3: ...").
  std::function<void()> body;
  /// Runs may begin where the body calls schedule::checkpoint(): what it changes is its own,
  /// or goes back with it (schedule/run_heap.h).
  bool goes_back = false;
  Expectation expectation = {};
  /// Where the body notes what its calls answer; null: it does not.
  std::shared_ptr<Answers> answers = {};
  /// Are run before all others; one that does not fit any more is told, and left out.
  std::vector<KeptSchedule> kept = {};
  schedule::RunLimits limits;
  /// How many choices of one schedule may go to another alternative than the
  /// ordinary one (schedule::choose(): failures of steps). Options may say less.
  std::uint32_t failures = 1;
};

}  // namespace teeio::explore
