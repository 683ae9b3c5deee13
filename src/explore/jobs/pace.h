#pragma once

#include <cstdint>

#include "schedule/task.h"

namespace teeio::explore {

/// Whether a quarter of a second has gone by since it last said so.
class Pace {
 public:
  bool due() {
    constexpr std::uint64_t kQuarterSecondNs = 250'000'000;
    const std::uint64_t now = schedule::now_ns();
    if (now - last_ns_ < kQuarterSecondNs) return false;
    last_ns_ = now;
    return true;
  }

 private:
  std::uint64_t last_ns_ = 0;
};

}  // namespace teeio::explore
