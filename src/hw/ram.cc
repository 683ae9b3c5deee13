#include "hw/ram.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "hw/ram_in_forks.h"
#include "schedule/raw_lock.h"

namespace teeio::hw {
namespace {

constinit bool g_stays_in_forks = false;  // written while no task runs

void* map(std::uint64_t size_bytes) {
  return mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

std::byte* reserve(std::uint64_t size_bytes) {
  if (size_bytes == 0) return nullptr;
  void* const memory = map(size_bytes);
  TEEIO_CHECK(memory != MAP_FAILED, "the machine's RAM does not fit this address space");
  // A fork of the supervisor starts a program, which has no use for our RAM.
  if (!g_stays_in_forks) madvise(memory, size_bytes, MADV_DONTFORK);
  return static_cast<std::byte*>(memory);
}

/// RAM that machines have left behind, all zero. An explored run makes a machine a
/// schedule: to map and fault in its pages anew would be most of the cost.
class Spares {
 public:
  std::byte* take(std::uint64_t size_bytes) {
    const schedule::RawLockGuard guard(lock_);
    // A fork has none of them (MADV_DONTFORK), whatever this says.
    if (maker_ != ::getpid()) free_.clear();
    if (size_bytes != kSize || free_.empty()) return nullptr;
    std::byte* memory = free_.back();
    free_.pop_back();
    return memory;
  }
  [[nodiscard]] bool has(std::uint64_t size_bytes) {
    const schedule::RawLockGuard guard(lock_);
    return size_bytes == kSize && !free_.empty();
  }
  [[nodiscard]] bool wants(std::uint64_t size_bytes) {
    const schedule::RawLockGuard guard(lock_);
    return size_bytes == kSize && free_.size() < kMost;
  }
  void give(std::byte* memory) {
    const schedule::RawLockGuard guard(lock_);
    if (maker_ != ::getpid()) free_.clear();
    maker_ = ::getpid();
    free_.push_back(memory);
  }

 private:
  static constexpr std::uint64_t kSize = std::uint64_t{64} << 20U;  ///< of an explored machine
  static constexpr std::size_t kMost = 2;
  // no Turn: spare memory is all zeros, whosever it was
  schedule::RawLock lock_;
  std::vector<std::byte*> free_;
  pid_t maker_ = 0;  ///< the process that they are of
};

Spares& spares() {
  static auto& kept = *new Spares;  // as long as the process
  return kept;
}

std::byte* spare_or_reserved(std::uint64_t size_bytes) {
  std::byte* memory = spares().take(size_bytes);
  return memory != nullptr ? memory : reserve(size_bytes);
}

}  // namespace

bool ram_fits(std::uint64_t size_bytes) {
  if (size_bytes == 0 || spares().has(size_bytes)) return true;
  void* const memory = map(size_bytes);
  return memory != MAP_FAILED && munmap(memory, size_bytes) == 0;
}

void keep_ram_in_forks() { g_stays_in_forks = true; }

Ram::Ram(Hpa base, std::uint64_t size_bytes)
    : base_(base), size_(size_bytes), memory_(spare_or_reserved(size_bytes)) {
  TEEIO_CHECK(is_page_aligned(size_bytes), "RAM is no whole number of pages");
  if (schedule::RunHeap* heap = schedule::RunHeap::current(); heap != nullptr) heap->add(*this);
}

Ram::~Ram() {
  if (schedule::RunHeap* heap = schedule::RunHeap::current(); heap != nullptr) heap->remove(*this);
  give_back();
}

void Ram::give_back() {
  if (memory_ == nullptr) return;
  const schedule::OutsideRunHeap outside;  // spares are other runs' too
  if (!spares().wants(size_)) {
    munmap(memory_, size_);
    return;
  }
  for (std::size_t i = 0; i < frames_.size(); ++i)
    if (frames_[i].allocated) std::memset(frame(i), 0, kPageSize);
  spares().give(memory_);
}

// A frame that is not allocated is zero.

void Ram::save() {
  saved_frames_ = frames_.size();
  saved_ = static_cast<std::byte*>(std::malloc(saved_frames_ * kPageSize));
  TEEIO_CHECK(saved_ != nullptr || saved_frames_ == 0, "no memory for a copy of the RAM");
  if (saved_frames_ != 0) std::memcpy(saved_, memory_, saved_frames_ * kPageSize);
}

void Ram::go_back() {
  for (std::size_t i = saved_frames_; i < frames_.size(); ++i)
    if (frames_[i].allocated) std::memset(frame(i), 0, kPageSize);
  if (saved_frames_ != 0) std::memcpy(memory_, saved_, saved_frames_ * kPageSize);
}

void Ram::forget() {
  std::free(saved_);
  give_back();
}

std::optional<Hpa> Ram::alloc() {
  std::uint64_t frame = frames_.size();
  if (!freed_.empty()) {
    frame = freed_.top();
    freed_.pop();
  } else if (frame < size_ / kPageSize) {
    frames_.emplace_back();
  } else {
    return std::nullopt;
  }
  frames_[frame] = {.key = KeyId::kShared, .allocated = true};
  return base_ + frame * kPageSize;
}

void Ram::free(Hpa page) {
  TEEIO_CHECK(is_page_aligned(raw(page)) && has(page), "a page is freed that is not allocated");
  std::ranges::fill(bytes(page), std::byte{0});
  frames_[index(page)] = {};
  freed_.push(index(page));
}

void Ram::give(Hpa page, KeyId owner, Content content) {
  TEEIO_CHECK(is_page_aligned(raw(page)) && has(page), "what is given to an owner is no RAM page");
  Frame& frame = frames_[index(page)];
  if (frame.key == owner) return;
  if (content == Content::kLost) std::ranges::fill(bytes(page), std::byte{0});
  frame.key = owner;
}

bool Ram::has(Hpa address) const {
  if (raw(address) < raw(base_)) return false;
  const std::uint64_t frame = index(address);
  return frame < frames_.size() && frames_[frame].allocated;
}

std::span<std::byte> Ram::bytes(Hpa address) {
  return {memory_ + (address - base_), kPageSize - offset_in_page(address)};
}

bool Ram::overlaps(Hpa base, std::uint64_t size_bytes) const {
  return raw(base) < raw(base_) + size_ && raw(base_) < raw(base) + size_bytes;
}

}  // namespace teeio::hw
