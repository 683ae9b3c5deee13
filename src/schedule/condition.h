#pragma once

#include <condition_variable>
#include <cstdint>

#include "schedule/controller.h"
#include "schedule/mutex.h"

namespace teeio::schedule {

/// A wait queue used under one Mutex.
class Condition {
 public:
  Condition() = default;
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;
  ~Condition() { detail::destroy(number_); }

  /// Unlocks, sleeps until notified, locks again. Wake-ups may be spurious.
  void wait(Mutex& mutex) TEEIO_REQUIRES(mutex);
  /// As wait(), at most `timeout_ns`; false when the time ran out.
  bool wait_for(Mutex& mutex, std::uint64_t timeout_ns) TEEIO_REQUIRES(mutex);
  void notify_all();

  template <class Predicate>
  void wait(Mutex& mutex, Predicate holds) TEEIO_REQUIRES(mutex) {
    while (!holds()) wait(mutex);
  }

 private:
  std::condition_variable native_;
  std::uint64_t generation_ = 0;  // explored mode: counts notify_all()
  std::uint32_t number_ = 0;
};

}  // namespace teeio::schedule
