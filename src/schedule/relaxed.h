#pragma once

#include <atomic>

namespace teeio::schedule {

/// A number that tasks read and write without an order of theirs: no place where the schedule
/// changes, and nothing that a race detector would take for an order of what is around it.
/// Locking: none needed.
template <class T>
class Relaxed {
 public:
  explicit Relaxed(T value) : value_(value) {}
  Relaxed(const Relaxed& other) : value_(T(other)) {}
  Relaxed& operator=(const Relaxed& other) { return *this = T(other); }
  Relaxed& operator=(T value) {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }
  operator T() const { return value_.load(std::memory_order_relaxed); }
  T exchange(T value) { return value_.exchange(value, std::memory_order_relaxed); }

 private:
  std::atomic<T> value_;
};

}  // namespace teeio::schedule
