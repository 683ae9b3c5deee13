#include "schedule/atomic.h"

#include "base/check.h"

namespace teeio::schedule {

void RefCount::announce_change(OpKind kind) {
  Controller* const c = controller();
  if (c == nullptr) return;
  c->count_point(
      {kind, detail::number_of(*c, number_, kName)},
      [](const void* count) {
        return static_cast<const std::atomic<std::uint32_t>*>(count)->load(
            std::memory_order_relaxed);
      },
      &count_);
}

void RefCount::increment() {
  detail::announce(OpKind::kIncrement, number_, kName);
  TEEIO_CHECK(count_.fetch_add(1, std::memory_order_relaxed) != 0,
              "a reference is taken on an object whose last one is gone");
}

bool RefCount::increment_not_zero() {
  announce_change(OpKind::kIncrement);
  std::uint32_t count = count_.load(std::memory_order_relaxed);
  while (count != 0)
    if (count_.compare_exchange_weak(count, count + 1, std::memory_order_acquire)) return true;
  return false;
}

bool RefCount::decrement() {
  announce_change(OpKind::kDecrement);
  const std::uint32_t before = count_.fetch_sub(1, std::memory_order_acq_rel);
  TEEIO_CHECK(before != 0, "a reference is dropped that nobody holds");
  return before == 1;
}

bool RefCount::decrement_if_one() {
  detail::announce(OpKind::kTestCount, number_, kName);
  std::uint32_t one = 1;
  return count_.compare_exchange_strong(one, 0, std::memory_order_acq_rel);
}

void RefCount::set(std::uint32_t value) {
  detail::announce(OpKind::kTestCount, number_, kName);
  count_.store(value, std::memory_order_release);
}

std::uint32_t RefCount::load() const {
  detail::announce(OpKind::kTestCount, number_, kName);
  return count_.load(std::memory_order_acquire);
}

}  // namespace teeio::schedule
