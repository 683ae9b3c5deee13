#include "schedule/run_heap.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"
#include "schedule/sanitized.h"

namespace teeio::schedule {

namespace detail {
constinit thread_local bool t_in_run_heap = false;
}  // namespace detail

namespace {

// Of address space, more than machines with all their RAM written take: its end would be told
// as the program's.
constexpr std::size_t kCapacity = std::size_t{1} << 33U;
constexpr std::size_t kGrain = 16;
constexpr std::size_t kSmall = 1024;
constexpr std::size_t kSmallClasses = kSmall / kGrain + 1;
constexpr std::size_t kClasses = kSmallClasses + 32;

/// In front of each block.
struct alignas(kGrain) Head {
  std::size_t bytes;  ///< room behind it
  std::size_t its_class;
};
static_assert(sizeof(Head) == kGrain);

/// The beginning of the heap, and so taken back with it: blocks of sizes that are rounded up,
/// free ones in a list a size.
struct Arena {
  std::size_t end;  ///< first byte that was never given out
  std::array<void*, kClasses> free;
};

constinit Arena* g_arena = nullptr;
constinit RunHeap* g_heap = nullptr;

bool is_of_arena(const void* memory) {
  const auto at = reinterpret_cast<std::uintptr_t>(memory);
  const auto base = reinterpret_cast<std::uintptr_t>(g_arena);
  return base != 0 && at - base < kCapacity;
}

std::size_t class_of(std::size_t bytes) {
  if (bytes <= kSmall) return (bytes + kGrain - 1) / kGrain;
  return kSmallClasses + static_cast<std::size_t>(std::bit_width((bytes - 1) / kSmall)) - 1;
}

std::size_t room_of(std::size_t its_class) {
  if (its_class < kSmallClasses) return std::max(its_class, std::size_t{1}) * kGrain;
  return kSmall << (its_class - kSmallClasses + 1);
}

void* arena_allocate(std::size_t bytes) {
  if (bytes > kCapacity) throw std::bad_alloc();
  const std::size_t its_class = class_of(bytes);
  void*& first = g_arena->free.at(its_class);
  if (first != nullptr) {
    void* const memory = first;
    std::memcpy(&first, memory, sizeof(first));
    return memory;
  }
  const std::size_t room = room_of(its_class);
  if (room + sizeof(Head) > kCapacity - g_arena->end) throw std::bad_alloc();
  auto* const head = reinterpret_cast<Head*>(reinterpret_cast<std::byte*>(g_arena) + g_arena->end);
  g_arena->end += sizeof(Head) + room;
  *head = {.bytes = room, .its_class = its_class};
  return head + 1;
}

void arena_free(void* memory) {
  void*& first = g_arena->free.at((static_cast<Head*>(memory) - 1)->its_class);
  std::memcpy(memory, &first, sizeof(first));
  first = memory;
}

void clear_arena() {
  g_arena->end = (sizeof(Arena) + kGrain - 1) / kGrain * kGrain;
  g_arena->free.fill(nullptr);
}

/// Its address space is kept: what a finding froze may lie in it.
bool reserve_arena() {
  if (g_arena != nullptr) return true;
  void* const memory = mmap(nullptr, kCapacity, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  g_arena = static_cast<Arena*>(memory);
  return true;
}

// From here on a buffer's pages are given back to the kernel, instead of written: a machine may
// have many megabytes that nobody touches.
constexpr std::size_t kLarge = std::size_t{256} * 1024;
constexpr std::uintptr_t kPage = 4096;

/// The whole pages of [memory, memory + bytes).
std::pair<std::byte*, std::byte*> pages_of(std::byte* memory, std::size_t bytes) {
  const auto up = [](std::uintptr_t at) { return (at + kPage - 1) / kPage * kPage; };
  const auto first = reinterpret_cast<std::uintptr_t>(memory);
  return {memory + (up(first) - first), memory + ((first + bytes) / kPage * kPage - first)};
}

/// They read as zero, and take no memory until they are written.
bool make_fresh(std::byte* first, std::byte* last) {
  return madvise(first, static_cast<std::size_t>(last - first), MADV_DONTNEED) == 0;
}

void zero(std::byte* memory, std::size_t bytes) {
  if (bytes >= kLarge) {
    const auto [first, last] = pages_of(memory, bytes);
    if (make_fresh(first, last)) {
      std::memset(memory, 0, static_cast<std::size_t>(first - memory));
      std::memset(last, 0, static_cast<std::size_t>(memory + bytes - last));
      return;
    }
  }
  std::memset(memory, 0, bytes);
}

bool is_zero(const std::byte* memory, std::size_t bytes) {
  return bytes == 0 || (*memory == std::byte{0} && std::memcmp(memory, memory + 1, bytes - 1) == 0);
}

/// Copies what differs: a run changes little, and what is not written stays out of the way of
/// the caches.
void copy_changes(std::byte* to, const std::byte* from, std::size_t bytes) {
  constexpr std::size_t kPiece = 1024;
  for (std::size_t at = 0; at < bytes; at += kPiece) {
    const std::size_t size = std::min(kPiece, bytes - at);
    if (std::memcmp(to + at, from + at, size) != 0) std::memcpy(to + at, from + at, size);
  }
}

/// Whether operator new is ours: a program may have one of its own.
bool is_in_force() {
  detail::t_in_run_heap = true;
  void* const memory = ::operator new(1);
  detail::t_in_run_heap = false;
  const bool ours = is_of_arena(memory);
  ::operator delete(memory);
  return ours;
}

}  // namespace

std::unique_ptr<RunHeap> RunHeap::take() {
  if (kSanitized || g_heap != nullptr || !reserve_arena()) return nullptr;
  clear_arena();
  std::unique_ptr<RunHeap> heap(new RunHeap);
  g_heap = heap.get();
  if (!is_in_force()) return nullptr;
  return heap;
}

RunHeap::~RunHeap() {
  for (RolledBack* part : parts_) part->forget();
  if (saved_ != nullptr) munmap(saved_, saved_bytes_);
  g_heap = nullptr;
}

void RunHeap::save() {
  TEEIO_CHECK(g_arena != nullptr && saved_ == nullptr, "a run heap is saved twice");
  for (RolledBack* part : parts_) part->save();
  saved_parts_ = parts_.size();
  saved_bytes_ = g_arena->end;
  void* const copy = mmap(nullptr, saved_bytes_, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  TEEIO_CHECK(copy != MAP_FAILED, "no memory for what a run goes back to");
  saved_ = static_cast<std::byte*>(copy);
  auto* const arena = reinterpret_cast<std::byte*>(g_arena);
  for (std::size_t at = 0; at < saved_bytes_; at += kLarge) {
    const std::size_t size = std::min(kLarge, saved_bytes_ - at);
    const bool kept = !is_zero(arena + at, size);
    if (kept) std::memcpy(saved_ + at, arena + at, size);
    if (saved_parts_of_heap_.empty() || saved_parts_of_heap_.back().has_bytes != kept)
      saved_parts_of_heap_.push_back({.end = at, .has_bytes = kept});
    saved_parts_of_heap_.back().end = at + size;
  }
}

void RunHeap::go_back() {
  TEEIO_CHECK(g_arena != nullptr && saved_ != nullptr, "a run heap goes back to nothing");
  // What was made since then was not there before.
  for (; parts_.size() > saved_parts_; parts_.pop_back()) parts_.back()->forget();
  for (RolledBack* part : parts_) part->go_back();
  auto* const arena = reinterpret_cast<std::byte*>(g_arena);
  std::size_t at = 0;
  for (const SavedPart& part : saved_parts_of_heap_) {
    if (part.has_bytes)
      copy_changes(arena + at, saved_ + at, part.end - at);
    else
      zero(arena + at, part.end - at);
    at = part.end;
  }
}

RunHeap* RunHeap::current() { return detail::t_in_run_heap ? g_heap : nullptr; }

void RunHeap::add(RolledBack& part) {
  const OutsideRunHeap outside;
  if (std::ranges::find(parts_, &part) == parts_.end()) parts_.push_back(&part);
}

void RunHeap::remove(RolledBack& part) {
  const auto at = std::ranges::find(parts_, &part);
  TEEIO_CHECK(at != parts_.end(), "a run destroys a part that it did not add");
  TEEIO_CHECK(at - parts_.begin() >= static_cast<std::ptrdiff_t>(saved_parts_),
              "a run destroys what is to go back");
  parts_.erase(at);
}

std::size_t usable_bytes(void* memory) {
  if (is_of_arena(memory)) return (static_cast<Head*>(memory) - 1)->bytes;
  return ::malloc_usable_size(memory);
}

std::byte* allocate_zeroed(std::size_t bytes) {
  if (detail::t_in_run_heap) {
    auto* const memory = static_cast<std::byte*>(arena_allocate(bytes));
    zero(memory, bytes);
    return memory;
  }
  void* const memory = std::calloc(bytes, 1);
  if (memory == nullptr) throw std::bad_alloc();
  return static_cast<std::byte*>(memory);
}

void free_zeroed(std::byte* memory) {
  if (is_of_arena(memory)) return arena_free(memory);
  std::free(memory);
}

}  // namespace teeio::schedule

#if !TEEIO_SANITIZED

// The arrays', the sized and the nothrow ones come to these two. Weak: a program that has its
// own makes its machines anew.
[[gnu::weak]] void* operator new(std::size_t bytes) {
  if (teeio::schedule::detail::t_in_run_heap) [[unlikely]]
    return teeio::schedule::arena_allocate(bytes);
  if (void* const memory = std::malloc(bytes == 0 ? 1 : bytes); memory != nullptr) return memory;
  throw std::bad_alloc();
}

[[gnu::weak]] void operator delete(void* memory) noexcept {
  if (teeio::schedule::is_of_arena(memory)) return teeio::schedule::arena_free(memory);
  std::free(memory);
}

[[gnu::weak]] void operator delete(void* memory, std::size_t) noexcept {
  ::operator delete(memory);
}

#endif

// A function-local static is made once for all runs, whoever comes to it first: what it
// allocates is none's (linked with --wrap). Itanium C++ ABI, section 3.3.3.
namespace {
/// A static that is being made, and what its maker goes on with.
struct BeingMade {
  std::int64_t* guard;
  bool was_in_run_heap;
};
/// One within another: of recursion there is an end.
constexpr std::size_t kMostBeingMade = 64;
thread_local std::array<BeingMade, kMostBeingMade> t_being_made = {};
thread_local std::size_t t_being_made_count = 0;

void leave_static(const std::int64_t* guard) {
  for (std::size_t i = t_being_made_count; i-- > 0;) {
    if (t_being_made[i].guard != guard) continue;
    teeio::schedule::detail::t_in_run_heap = t_being_made[i].was_in_run_heap;
    for (; i + 1 < t_being_made_count; ++i) t_being_made[i] = t_being_made[i + 1];
    --t_being_made_count;
    return;
  }
}
}  // namespace

extern "C" {
int __real___cxa_guard_acquire(std::int64_t* guard);
void __real___cxa_guard_release(std::int64_t* guard);
void __real___cxa_guard_abort(std::int64_t* guard);

int __wrap___cxa_guard_acquire(std::int64_t* guard) {
  const int is_ours = __real___cxa_guard_acquire(guard);
  if (is_ours == 0) return is_ours;
  TEEIO_CHECK(t_being_made_count < kMostBeingMade, "statics are made within statics without end");
  t_being_made[t_being_made_count++] = {
      guard, std::exchange(teeio::schedule::detail::t_in_run_heap, false)};
  return is_ours;
}
void __wrap___cxa_guard_release(std::int64_t* guard) {
  __real___cxa_guard_release(guard);
  leave_static(guard);
}
void __wrap___cxa_guard_abort(std::int64_t* guard) {
  __real___cxa_guard_abort(guard);
  leave_static(guard);
}
}

void teeio::schedule::give_up_statics() {
  const OutsideRunHeap outside;
  while (t_being_made_count > 0) {
    std::int64_t* const guard = t_being_made[t_being_made_count - 1].guard;
    __wrap___cxa_guard_abort(guard);
  }
}
