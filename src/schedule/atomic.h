#pragma once

#include <atomic>
#include <cstdint>

#include "schedule/controller.h"

namespace teeio::schedule {

/// A flag or counter that tasks share without a lock; sequentially consistent.
template <class T>
class Atomic {
 public:
  Atomic() = default;
  explicit Atomic(T value) : value_(value) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;
  ~Atomic() { detail::destroy(number_); }

  [[nodiscard]] T load() const {
    detail::announce(OpKind::kLoad, number_, kName);
    return value_.load();
  }
  void store(T value) {
    detail::announce(OpKind::kStore, number_, kName);
    value_.store(value);
  }
  T exchange(T value) {
    detail::announce(OpKind::kStore, number_, kName);
    return value_.exchange(value);
  }
  T fetch_add(T delta) {
    detail::announce(OpKind::kStore, number_, kName);
    return value_.fetch_add(delta);
  }
  bool compare_exchange(T& expected, T desired) {
    detail::announce(OpKind::kStore, number_, kName);
    return value_.compare_exchange_strong(expected, desired);
  }

 private:
  static constexpr std::string_view kName = "flag";
  std::atomic<T> value_{};
  mutable std::uint32_t number_ = 0;
};

/// Linux's refcount_t: saturates never, use after zero is a failed check.
class RefCount {
 public:
  explicit RefCount(std::uint32_t start) : count_(start) {}
  RefCount(const RefCount&) = delete;
  RefCount& operator=(const RefCount&) = delete;
  ~RefCount() { detail::destroy(number_); }

  /// Precondition: the caller holds a count already (refcount_inc()).
  void increment();
  /// False when the count was zero (refcount_inc_not_zero()).
  [[nodiscard]] bool increment_not_zero();
  /// True when this was the last one (refcount_dec_and_test()).
  [[nodiscard]] bool decrement();
  /// From one to zero or not at all; true when done (refcount_dec_if_one()).
  [[nodiscard]] bool decrement_if_one();
  /// For a count that nobody else can change now (refcount_set()).
  void set(std::uint32_t value);
  /// The count now; stale at once unless a lock keeps it.
  [[nodiscard]] std::uint32_t load() const;

 private:
  void announce_change(OpKind kind);

  static constexpr std::string_view kName = "count";
  std::atomic<std::uint32_t> count_;
  mutable std::uint32_t number_ = 0;
};

}  // namespace teeio::schedule
