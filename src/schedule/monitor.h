#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>

#include "schedule/annotations.h"
#include "schedule/rank.h"
#include "schedule/touch.h"

namespace teeio::schedule {

/// A lock whose sections no other task can see the middle of: natively a mutex, explored a
/// single move each. No scheduling point may be met within one (a failed check), but other
/// monitors may be entered: their sections are then part of the move. It cannot be tried and
/// nobody waits for conditions with it, so that no order exists in which it is found taken.
///
/// Two sections commute if they commute on each element of the state that both touch. What a
/// section touches it says while it runs (Section::kByParts); one that says nothing touches
/// all of it. All that is guarded must be reached by accessors that say so (recorded_map.h):
/// a forgotten touch hides orders. An element too many, or two that are told as one, cost
/// schedules only.
///
/// The theorem is in docs/explore.md. The lock order holds as for a Mutex.
class TEEIO_CAPABILITY("mutex") Monitor {
 public:
  explicit Monitor(Rank rank);
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;
  ~Monitor();

  void lock() TEEIO_ACQUIRE();
  /// Touches only what touch() says.
  void lock_by_parts() TEEIO_ACQUIRE();
  void unlock() TEEIO_RELEASE();
  /// Ends the section, which is the outermost one, and begins another one by parts, which
  /// touches first of all what was touched so far: what was found there is used on.
  void give_way() TEEIO_REQUIRES(this);
  /// Fails a check unless this task holds the lock.
  void assert_held() const TEEIO_ASSERT_CAPABILITY(this);

  /// The running section does so to a part of the state. `part`: the same in every order of
  /// moves, so no address and no number of arrival. Nothing natively. The monitor's own number
  /// is one of arrival where tasks make monitors: two orders of that may be told apart then.
  void touch(std::uint64_t part, Touch::How how) const;

 private:
  friend class Instant;
  /// A section's beginning and end without the order that ThreadSanitizer is told of.
  void enter(Touch::How whole) TEEIO_NO_THREAD_SAFETY_ANALYSIS;
  void leave() TEEIO_NO_THREAD_SAFETY_ANALYSIS;

  std::mutex native_;
  const Rank rank_;
  const std::uint64_t identity_;  ///< by order of construction
  std::uint32_t number_ = 0;
};

/// The order of what is no section: natively nothing, explored a section of its own, with
/// nothing in it. For models that keep their books by other means (VtdIommu's commands).
class Turn {
 public:
  explicit Turn(std::string_view name = "turn");  ///< a literal
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn();

  void take(std::uint64_t part, Touch::How how) const;
  /// Of the present move, whatever it is: no order of its own, for what comes with each of many
  /// steps (PhysicalMemory's table entries).
  void touch(std::uint64_t part, Touch::How how) const;

 private:
  const std::string_view name_;
  const std::uint64_t identity_;
  mutable std::uint32_t number_ = 0;
};

/// A flag that tasks share without a lock, as Atomic, but for code that may be in a section.
template <class T>
class Word {
 public:
  Word() : Word(T{}) {}
  explicit Word(T value) : value_(value) {}

  [[nodiscard]] T load() const {
    turn_.take(0, Touch::How::kRead);
    return value_.load();
  }
  void store(T value) {
    turn_.take(0, Touch::How::kWrite);
    value_.store(value);
  }

 private:
  const Turn turn_{"flag"};
  std::atomic<T> value_;
};

class TEEIO_SCOPED_CAPABILITY Section {
 public:
  enum ByParts { kByParts };
  explicit Section(Monitor& monitor) TEEIO_ACQUIRE(monitor) : monitor_(monitor) { monitor_.lock(); }
  Section(Monitor& monitor, ByParts) TEEIO_ACQUIRE(monitor) : monitor_(monitor) {
    monitor_.lock_by_parts();
  }
  ~Section() TEEIO_RELEASE() { monitor_.unlock(); }
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

 private:
  Monitor& monitor_;
};

/// What the hardware does at once, without a lock, to what a monitor guards: an instruction
/// of the host's. Explored a section by parts, unless the caller is in one; natively nothing, so
/// that it orders no plain data (races.h): what it reaches needs a lock of its own.
class Instant {
 public:
  explicit Instant(Monitor* monitor) TEEIO_NO_THREAD_SAFETY_ANALYSIS;  ///< null: nothing
  ~Instant() TEEIO_NO_THREAD_SAFETY_ANALYSIS;
  Instant(const Instant&) = delete;
  Instant& operator=(const Instant&) = delete;

 private:
  Monitor* monitor_;
};

/// A part from the number of a table and a key in it.
[[nodiscard]] constexpr std::uint64_t part(std::uint8_t table, std::uint64_t key = 0) {
  constexpr std::uint64_t kOdd = 0xd6e8'feb8'6659'fd93;
  return (key + 1) * kOdd ^ std::uint64_t{table} << 56U;
}

/// Runs `act` with `on` when the section that the caller is in is over, if it is explored, so
/// that it may wait for others; else at once. `on` must still be there then.
void after_section(void (*act)(void*), void* on);

namespace detail {
/// Monitors of this OS thread so far; set back where runs begin.
[[nodiscard]] std::uint64_t monitors_made();
void set_monitors_made(std::uint64_t count);
}  // namespace detail
}  // namespace teeio::schedule
