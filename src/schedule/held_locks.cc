#include "schedule/held_locks.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "base/check.h"
#include "schedule/run_heap.h"
#include "schedule/sanitized.h"
#include "schedule/task.h"

namespace teeio::schedule {
namespace {

struct Held {
  const void* lock;
  Rank rank;
};

/// What one task holds, oldest first. Deep nesting is a bug before it is a
/// limit: the deepest real path holds nine.
struct HeldLocks {
  std::array<Held, 24> entries;
  std::size_t count = 0;
};

// Each lock of each call comes here: without calls of its own.
[[gnu::always_inline]] inline TaskLocal<HeldLocks*>& held_slot() {
  static TaskLocal<HeldLocks*> slot;
  return slot;
}

/// One that a task of this thread gave back: explored tasks come and go a
/// million times a second. Not where another task's use of it would be taken for a race.
struct Spare {
  HeldLocks* locks = nullptr;
  ~Spare() { delete locks; }
};
thread_local Spare t_spare[4];

HeldLocks* take_spare() {
  if constexpr (kThreadSanitized) return nullptr;
  for (Spare& spare : t_spare)
    if (spare.locks != nullptr) return std::exchange(spare.locks, nullptr);
  return nullptr;
}

bool keep_as_spare(HeldLocks* locks) {
  if constexpr (kThreadSanitized) return false;
  for (Spare& spare : t_spare)
    if (spare.locks == nullptr) return spare.locks = locks, true;
  return false;
}

HeldLocks* make_held() {
  if (HeldLocks* const locks = take_spare()) {
    locks->count = 0;
    return locks;
  }
  const OutsideRunHeap outside;  // it is somebody else's after this run
  return new HeldLocks;
}

/// Freed by the task's end (release_held_storage()) or never for the first one.
[[gnu::always_inline]] inline HeldLocks& held() {
  HeldLocks* locks = held_slot().get();
  if (locks == nullptr) {
    locks = make_held();
    held_slot().set(locks);
  }
  return *locks;
}

}  // namespace

namespace {

[[noreturn]] void order_violated(Rank taken, Rank held_rank) {
  const std::string_view below = rank_name(taken);
  const std::string_view above = rank_name(held_rank);
  std::fprintf(stderr, "teeio: lock order: %.*s taken under %.*s\n", static_cast<int>(below.size()),
               below.data(), static_cast<int>(above.size()), above.data());
  check_failed("a lock is taken against the lock order");
}

void append(HeldLocks& h, const void* lock, Rank rank) {
  TEEIO_CHECK(h.count < h.entries.size(), "a task holds too many locks");
  h.entries[h.count++] = {lock, rank};
}

}  // namespace

void push_held(const void* lock, Rank rank) {
  HeldLocks& h = held();
  for (std::size_t i = 0; i < h.count; ++i) {
    TEEIO_CHECK(h.entries[i].lock != lock, "a task locks what it holds already");
    if (rank == Rank::kUnranked || h.entries[i].rank == Rank::kUnranked) continue;
    if (h.entries[i].rank >= rank) order_violated(rank, h.entries[i].rank);
  }
  append(h, lock, rank);
}

void push_tried(const void* lock, Rank rank) { append(held(), lock, rank); }

// Most locks are released in the reverse order.
void pop_held(const void* lock) {
  HeldLocks& h = held();
  std::size_t behind = h.count;
  while (behind != 0 && h.entries[behind - 1].lock != lock) --behind;
  TEEIO_CHECK(behind != 0, "a task unlocks what it does not hold");
  for (; behind < h.count; ++behind) h.entries[behind - 1] = h.entries[behind];
  --h.count;
}

bool is_held(const void* lock) {
  const HeldLocks& h = held();
  return std::any_of(h.entries.begin(), h.entries.begin() + static_cast<std::ptrdiff_t>(h.count),
                     [lock](const Held& e) { return e.lock == lock; });
}

std::size_t held_count() { return held().count; }

void release_held_storage() {
  HeldLocks* const locks = held_slot().get();
  held_slot().set(nullptr);
  if (locks != nullptr && !keep_as_spare(locks)) delete locks;
}

}  // namespace teeio::schedule
