#pragma once

#include <atomic>
#include <cstdint>

namespace teeio::schedule {

/// A word of a lock-free cache: readers tolerate any value that was ever
/// stored, and what a reader does with it is ordered by something else that is
/// a scheduling point. It is none itself, so that a cache does not add
/// interleavings. For state that tasks agree on, use Atomic.
class CacheWord {
 public:
  [[nodiscard]] std::uint64_t load() const { return value_.load(std::memory_order_acquire); }
  void store(std::uint64_t value) { value_.store(value, std::memory_order_release); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace teeio::schedule
