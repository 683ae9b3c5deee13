#pragma once

#include <cstdint>
#include <deque>

#include "run/listener.h"
#include "schedule/atomic.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"

namespace teeio::run {

/// The calls that the machine works on now.
///
/// A killed process dies, as its parent sees it, while the machine still works
/// on its call; Linux would have finished that call first. So a release waits
/// for calls whose callers are dead: soon, since they find a signal pending.
///
/// Locking: its own, rank kSupervisor, never held during a call.
class CallsInProgress {
 public:
  explicit CallsInProgress(const Listener& listener) : listener_(listener) {}

  /// One task's call: its notification's id, 0 between calls.
  using Slot = schedule::Atomic<std::uint64_t>;
  /// Lives as long as this object.
  Slot& add_slot();
  void wait_for_dead_callers();

 private:
  [[nodiscard]] bool has_dead_caller_locked() const TEEIO_REQUIRES(mutex_);

  const Listener& listener_;
  schedule::Mutex mutex_{schedule::Rank::kSupervisor};
  schedule::Condition never_;  ///< only its time-outs count
  std::deque<Slot> slots_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::run
