#pragma once

#include <cstdint>
#include <set>

#include "run/listener.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"

namespace teeio::run {

/// The calls in progress that may take long: those that gave the receiver's
/// role away.
///
/// A killed process dies, as its parent sees it, while the machine still works
/// on its call; Linux would have finished that call first. So a release waits
/// for calls whose callers are dead: soon, since they find a signal pending.
///
/// Locking: its own, rank kSupervisor, never held during a call.
class LongCalls {
 public:
  explicit LongCalls(const Listener& listener) : listener_(listener) {}

  void begin(std::uint64_t id);
  void end(std::uint64_t id);
  void wait_for_dead_callers();

 private:
  [[nodiscard]] bool has_dead_caller_locked() const TEEIO_REQUIRES(mutex_);

  const Listener& listener_;
  schedule::Mutex mutex_{schedule::Rank::kSupervisor};
  schedule::Condition ended_;
  std::set<std::uint64_t> calls_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::run
