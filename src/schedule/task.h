#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

#include "schedule/controller.h"

namespace teeio::schedule {

/// A thread of execution: an OS thread natively, a fiber when explored.
///
/// Lifetime: must be joined before it is destroyed.
class Task {
 public:
  [[nodiscard]] static Task spawn(std::string_view name, std::move_only_function<void()> body);
  Task(Task&&) noexcept;
  Task& operator=(Task&&) noexcept;
  ~Task();

  /// Waits until the body has returned.
  void join();

 private:
  struct State;
  explicit Task(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

inline constexpr std::size_t kMaxTaskLocals = 16;

/// The running task's slots, on either side of the run-time switch.
[[nodiscard]] std::uint64_t* task_locals();
/// Forgets all that the running task has in its slots, the locks that it holds
/// included: for a task of which a finding cut off the middle.
void clear_task_locals();
/// The next free slot; a TaskLocal takes one when it is constructed.
[[nodiscard]] std::size_t allot_task_local();

/// A variable with one value a task, zero at the start of each. Stands in for
/// thread_local, which all fibers of one OS thread would share. Make it a
/// namespace-scope `inline` or static object: slots are never given back.
template <class T>
  requires std::is_trivially_copyable_v<T> && (sizeof(T) <= sizeof(std::uint64_t))
class TaskLocal {
 public:
  TaskLocal() : slot_(allot_task_local()) {}
  [[nodiscard]] T get() const {
    T value;
    __builtin_memcpy(&value, task_locals() + slot_, sizeof(T));
    return value;
  }
  void set(T value) {
    task_locals()[slot_] = 0;
    __builtin_memcpy(task_locals() + slot_, &value, sizeof(T));
  }

 private:
  const std::size_t slot_;
};

/// The running task's number within the run: 0 for the first, then in order of spawn.
[[nodiscard]] std::uint32_t current_task();

/// Lets others run before a busy operation is tried again.
void yield();

/// Lets so much virtual time pass before something is looked at again: others go
/// on, and time passes when none of them can. Natively a yield: the hardware that
/// is waited for is a model of ours, which answers at once or never.
void pause(std::uint64_t duration_ns);

/// The running task does something that observers who read one of these stories
/// (a bit each) see in order with all else in it. Called before they see it. A scheduling
/// point only where a section of a monitor ended since the last one (monitor.h).
void told(std::uint64_t stories);

/// Monotonic time in nanoseconds; virtual when explored.
[[nodiscard]] std::uint64_t now_ns();

/// Reproducible randomness: the same seed and the same order of calls give the
/// same numbers. Not for keys that face the outside.
[[nodiscard]] std::uint64_t random_u64();
void fill_random(std::span<std::byte> out);
/// Restarts the native sequence.
void set_seed(std::uint64_t seed);

/// A choice that tests and the explorer drive, such as "does this step fail?".
/// Gives 0, the ordinary alternative, unless a chooser is installed.
/// Precondition: count >= 1; `what` is a literal.
[[nodiscard]] std::uint32_t choose(std::uint32_t count, std::string_view what);
/// From here on only choices about `what` are asked, all others go the ordinary way; empty:
/// every one is. For an explored run that sweeps one thing. Precondition: a literal.
void ask_only(std::string_view what);
/// Installs the native chooser (empty: always 0). Not while tasks run.
using Chooser = std::move_only_function<std::uint32_t(std::uint32_t count, std::string_view what)>;
void set_chooser(Chooser chooser);

}  // namespace teeio::schedule
