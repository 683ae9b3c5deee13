#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "explore/depth_first.h"
#include "explore/exploration.h"

namespace teeio::test {

inline constexpr std::uint64_t kEnough = 1'000'000;

inline explore::Exploration explore_all(const std::function<void()>& body,
                                        schedule::RunLimits limits = {}) {
  explore::DepthFirst strategy(explore::DepthFirst::Reduction::kSleepSets);
  return explore::run_schedules(strategy, body, kEnough, limits);
}

/// Runs `body` in every order; expects no finding.
inline explore::Exploration expect_sound(const std::function<void()>& body) {
  explore::Exploration result = explore_all(body);
  if (result.bad) ADD_FAILURE() << explore::to_text(*result.bad);
  EXPECT_TRUE(result.exhausted);
  return result;
}

/// What the first bad order shows, or "" if there is none.
inline std::string finding_of(const std::function<void()>& body) {
  const explore::Exploration result = explore_all(body);
  return result.bad ? result.bad->finding.what : "";
}

}  // namespace teeio::test
