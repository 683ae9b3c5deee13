#pragma once

#include <cstdint>

#include "schedule/sanitized.h"

namespace teeio::schedule {

// What ThreadSanitizer is told of an explored run: that each task is a thread, and ordered
// with the others by the primitives of this room alone. Two accesses that nothing but the
// choice of the schedule orders are then a data race that it reports, whatever the schedule.
// In other builds, and for native threads, which are what they seem, all this is nothing.

namespace detail {
/// How often the running task is unwatched at this moment.
struct Unwatching {
  unsigned accesses = 0;
  unsigned locks = 0;
};
#if TEEIO_THREAD_SANITIZED
/// Whether this OS thread executes an explored run from now on.
void set_explored(bool explored);
void order_after(const void* place);
void order_before(const void* place);
[[nodiscard]] bool stop_watching(bool locks_too);
void watch_again(bool locks_too);
[[nodiscard]] Unwatching& unwatching();
/// For the running fiber, as it was never unwatched.
void watch_at_last(Unwatching& unwatching);
#else
inline void set_explored(bool /*explored*/) {}
inline void order_after(const void* /*place*/) {}
inline void order_before(const void* /*place*/) {}
inline bool stop_watching(bool /*locks_too*/) { return false; }
inline void watch_again(bool /*locks_too*/) {}
#endif
}  // namespace detail

/// What the running task did so far comes before what another does after ordered_after(place).
inline void ordered_before(const void* place) { detail::order_before(place); }
inline void ordered_after(const void* place) { detail::order_after(place); }

/// A place for the beginning and the end of each task of a run, by its number.
[[nodiscard]] const void* place_of_task(std::uint32_t number);

/// While it lives, what the running task of an explored run reads and writes is no race: the
/// books of the run and of its observers, which in truth one OS thread keeps.
class Unwatched {
 public:
  /// kLocks: nor do locks order anything, which a native run needs for these books.
  enum Also : bool { kNothing, kLocks };
  explicit Unwatched(Also also = kNothing)
      : locks_(also == kLocks), is_unwatched_(detail::stop_watching(locks_)) {}
  ~Unwatched() {
    if (is_unwatched_) detail::watch_again(locks_);
  }
  Unwatched(const Unwatched&) = delete;
  Unwatched& operator=(const Unwatched&) = delete;

 private:
  const bool locks_;
  const bool is_unwatched_;
};

}  // namespace teeio::schedule
