#pragma once

#include <atomic>
#include <cstdint>

namespace teeio::schedule {

/// A word of a machine's memory in one step, where several tasks read and write it: an entry
/// of a page table. No scheduling point, as no access to that memory is one (hw/
/// physical_memory.h): what goes on around it is.
class MemoryWord {
 public:
  /// Precondition: aligned.
  explicit MemoryWord(std::uint64_t& word) : word_(word) {}
  [[nodiscard]] std::uint64_t load() const { return word_.load(std::memory_order_relaxed); }
  void store(std::uint64_t value) { word_.store(value, std::memory_order_relaxed); }
  bool compare_exchange(std::uint64_t& expected, std::uint64_t desired) {
    return word_.compare_exchange_strong(expected, desired);
  }
  void clear_bits(std::uint64_t bits) { word_.fetch_and(~bits); }

 private:
  std::atomic_ref<std::uint64_t> word_;
};

}  // namespace teeio::schedule
