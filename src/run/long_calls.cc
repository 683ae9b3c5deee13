#include "run/long_calls.h"

#include <algorithm>

namespace teeio::run {

void LongCalls::begin(std::uint64_t id) {
  const schedule::Lock lock(mutex_);
  calls_.insert(id);
}

void LongCalls::end(std::uint64_t id) {
  const schedule::Lock lock(mutex_);
  calls_.erase(id);
  ended_.notify_all();
}

bool LongCalls::has_dead_caller_locked() const {
  return std::ranges::any_of(calls_, [&](std::uint64_t id) { return !listener_.waiting(id); });
}

void LongCalls::wait_for_dead_callers() {
  const schedule::Lock lock(mutex_);
  while (has_dead_caller_locked()) ended_.wait(mutex_);
}

}  // namespace teeio::run
