#include "run/calls_in_progress.h"

#include <algorithm>

namespace teeio::run {
namespace {
constexpr std::uint64_t kLookAgainNs = 100'000;
}  // namespace

CallsInProgress::Slot& CallsInProgress::add_slot() {
  const schedule::Lock lock(mutex_);
  return slots_.emplace_back();
}

bool CallsInProgress::has_dead_caller_locked() const {
  return std::ranges::any_of(slots_, [&](const Slot& slot) {
    const std::uint64_t id = slot.load();
    return id != 0 && !listener_.waiting(id);
  });
}

void CallsInProgress::wait_for_dead_callers() {
  const schedule::Lock lock(mutex_);
  while (has_dead_caller_locked()) (void)never_.wait_for(mutex_, kLookAgainNs);
}

}  // namespace teeio::run
