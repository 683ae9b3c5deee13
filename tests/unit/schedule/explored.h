#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "schedule/depth_first.h"
#include "schedule/exploration.h"

namespace teeio::test {

inline constexpr std::uint64_t kEnough = 1'000'000;

inline schedule::Exploration explore_all(const std::function<void()>& body,
                                         schedule::RunLimits limits = {}) {
  schedule::DepthFirst strategy(schedule::DepthFirst::Reduction::kSleepSets);
  return schedule::explore(strategy, body, kEnough, limits);
}

/// Runs `body` in every order; expects no finding.
inline schedule::Exploration expect_sound(const std::function<void()>& body) {
  schedule::Exploration result = explore_all(body);
  if (result.bad) ADD_FAILURE() << schedule::to_text(*result.bad);
  EXPECT_TRUE(result.exhausted);
  return result;
}

/// What the first bad order shows, or "" if there is none.
inline std::string finding_of(const std::function<void()>& body) {
  const schedule::Exploration result = explore_all(body);
  return result.bad ? result.bad->finding.what : "";
}

}  // namespace teeio::test
