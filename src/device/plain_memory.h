#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "hw/plain_memory_bar.h"
#include "schedule/monitor.h"
#include "schedule/run_heap.h"

namespace teeio::device {

/// The bytes behind a BAR of plain memory. Own storage is taken on first use, so
/// an idle function is small.
///
/// Locking: own leaf lock: DMA of another card reaches the bytes below that
/// card's lock.
class PlainMemory final : public hw::PlainMemoryBar {
 public:
  explicit PlainMemory(std::size_t size_bytes) : size_(size_bytes) {}

  [[nodiscard]] std::size_t size() const { return size_; }
  void relocate(std::span<std::byte> to) override TEEIO_EXCLUDES(mutex_);

  /// Precondition: the range lies inside.
  void read(std::uint64_t offset, std::span<std::byte> out) TEEIO_EXCLUDES(mutex_);
  void write(std::uint64_t offset, ByteView in) TEEIO_EXCLUDES(mutex_);
  void zero() TEEIO_EXCLUDES(mutex_);
  /// Calls f(bytes) with the lock held, so that what f asks about the function's
  /// state still holds for what it does: zero() is before or after all of it.
  template <class F>
  void with_bytes(F f) TEEIO_EXCLUDES(mutex_) {
    const schedule::Section lock(mutex_);
    dirty_ = true;  // f may write
    f(bytes());
  }

  [[nodiscard]] bool contains(std::uint64_t offset, std::uint64_t length) const {
    return offset <= size_ && length <= size_ - offset;
  }

 private:
  struct Free {
    void operator()(std::byte* storage) const { schedule::free_zeroed(storage); }
  };
  std::span<std::byte> bytes() TEEIO_REQUIRES(mutex_);

  const std::size_t size_;
  schedule::Monitor mutex_{schedule::Rank::kLeaf};
  std::unique_ptr<std::byte, Free> storage_ TEEIO_GUARDED_BY(mutex_);
  std::span<std::byte> elsewhere_ TEEIO_GUARDED_BY(mutex_);
  bool dirty_ TEEIO_GUARDED_BY(mutex_) = false;
};

}  // namespace teeio::device
