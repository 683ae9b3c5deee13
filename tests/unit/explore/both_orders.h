#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "explore/dpor.h"
#include "explore/exploration.h"
#include "schedule/atomic.h"
#include "schedule/controller.h"
#include "schedule/task.h"

namespace teeio::explore::test {

/// What comes of `body`, over all orders of the tasks that it spawns.
inline std::set<int> ends(const std::function<int()>& body) {
  std::set<int> seen;
  Dpor strategy;
  const auto result = run_schedules(strategy, [&] { seen.insert(body()); }, 10'000);
  EXPECT_TRUE(result.exhausted && !result.bad) << (result.bad ? to_text(*result.bad) : "");
  return seen;
}

/// What is prepared before, and taken apart after, in which nothing fails and nobody is in between.
template <class Act>
auto natively(const Act& act) {
  schedule::Controller* const explored = schedule::controller();
  schedule::set_controller(nullptr);
  auto made = act();
  schedule::set_controller(explored);
  return made;
}

/// Each in a move that begins at a primitive of its own, as every call does: they meet where
/// they touch the same, and nowhere else.
inline void together(const std::function<void()>& first, const std::function<void()>& second) {
  schedule::Atomic<bool> of_first{false}, of_second{false};
  schedule::Task a = schedule::Task::spawn("first", [&] {
    of_first.store(true);
    first();
  });
  schedule::Task b = schedule::Task::spawn("second", [&] {
    of_second.store(true);
    second();
  });
  a.join();
  b.join();
}

}  // namespace teeio::explore::test
