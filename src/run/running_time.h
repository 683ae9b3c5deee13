#pragma once

#include <algorithm>
#include <cstdint>

#include "schedule/task.h"

namespace teeio::run {

/// How long this process has been at something, whoever stopped it on the way (^Z): between two
/// looks a second counts at most.
class RunningTime {
 public:
  /// In nanoseconds. To be asked several times a second.
  [[nodiscard]] std::uint64_t look() {
    constexpr std::uint64_t kMostNs = 1'000'000'000;
    const std::uint64_t now = schedule::now_ns();
    took_ns_ += std::min(now - looked_ns_, kMostNs);
    looked_ns_ = now;
    return took_ns_;
  }

 private:
  std::uint64_t looked_ns_ = schedule::now_ns();
  std::uint64_t took_ns_ = 0;
};

}  // namespace teeio::run
