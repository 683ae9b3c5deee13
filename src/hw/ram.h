#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <span>
#include <vector>

#include "base/types.h"
#include "hw/physical_memory.h"
#include "schedule/run_heap.h"

namespace teeio::hw {

/// Whether this process's address space has room for so much RAM (RLIMIT_AS, "ulimit -v").
[[nodiscard]] bool ram_fits(std::uint64_t size_bytes);

/// The RAM frames behind PhysicalMemory: one lazily backed mapping, so a frame
/// that was never written costs nothing.
///
/// Locking: none; PhysicalMemory's.
class Ram final : private schedule::RolledBack {
 public:
  /// Precondition: `size_bytes` is a multiple of the page size, and ram_fits() said yes.
  Ram(Hpa base, std::uint64_t size_bytes);
  ~Ram() override;
  Ram(const Ram&) = delete;
  Ram& operator=(const Ram&) = delete;

  /// The lowest free frame, zeroed and shared; nullopt when none is left.
  std::optional<Hpa> alloc();
  void free(Hpa page);
  /// As PhysicalMemory::give_page(), of a frame.
  void give(Hpa page, KeyId owner, Content content);

  /// Whether `address` lies in a frame that is allocated now.
  [[nodiscard]] bool has(Hpa address) const;
  /// Precondition of the next two: has(address).
  [[nodiscard]] KeyId key_of(Hpa address) const { return frames_[index(address)].key; }
  /// From `address` to the end of its frame.
  [[nodiscard]] std::span<std::byte> bytes(Hpa address);
  [[nodiscard]] std::uint64_t in_use() const { return frames_.size() - freed_.size(); }
  [[nodiscard]] bool overlaps(Hpa base, std::uint64_t size_bytes) const;

 private:
  struct Frame {
    KeyId key = KeyId::kShared;
    bool allocated = false;
  };
  [[nodiscard]] std::uint64_t index(Hpa address) const { return (address - base_) >> kPageShift; }

  void save() override;
  void go_back() override;
  void forget() override;
  [[nodiscard]] std::byte* frame(std::size_t number) { return memory_ + number * kPageSize; }
  void give_back();

  const Hpa base_;
  const std::uint64_t size_;
  std::byte* const memory_;
  std::vector<Frame> frames_;  // up to the highest frame ever allocated
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> freed_;
  std::byte* saved_ = nullptr;  ///< of malloc(): the frames of frames_ as it was then
  std::size_t saved_frames_ = 0;
};

}  // namespace teeio::hw
