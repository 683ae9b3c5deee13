#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "schedule/atomic.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"

namespace teeio::run {

/// Who goes first where several threads or processes of a program make calls: priorities by
/// chance, and a few places where they change (PCT: Burckhardt, Kothari, Musuvathi, Nagarakatte,
/// "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010, with
/// calls as its steps).
///
/// Calls go into the machine one by one. A thread waits at its call as long as another one that
/// is before it is known to run outside of the kernel, and so may make a call. It does not wait
/// for who sleeps in a call of the host's (a futex, a pipe, nanosleep), which nobody here
/// controls, nor for who has ended, nor for a call in the machine that takes its time: that one may
/// wait for this one.
///
/// Lifetime: of a run. Locking: rank kSupervisor, never held during a call.
class Order {
 public:
  struct Plan {
    std::uint64_t seed = 1;
    std::uint32_t changes = 1;  ///< of priorities
    std::uint32_t calls = 100;  ///< among the first so many calls
    /// So long a thread that is before others is waited for while it computes, and a call inside
    /// of the machine before another one may follow it.
    std::uint64_t patience_ns = 20'000'000;
    std::string proc = "/proc";  ///< where proc(5) is; tests have their own
  };
  explicit Order(const Plan& plan);

  /// A call of `tid`, of process `pid`, is about to go into the machine: returns when it may.
  /// `is_there`: whether its caller still waits.
  void enter(pid_t pid, pid_t tid, const std::function<bool()>& is_there);
  /// It is answered. Nothing if it did not enter.
  void leave(pid_t tid);

  /// Whether there was a choice at all: a second thread made calls.
  [[nodiscard]] bool had_a_choice();
  /// How often a thread went on although one before it ran outside of the kernel for so long
  /// that it was no longer waited for: another time it may come first.
  [[nodiscard]] std::uint32_t overtakings();

 private:
  struct Thread {
    pid_t process;
    std::optional<std::uint64_t> born;  ///< starttime: another thread may get its number
    std::int64_t priority;              ///< the higher goes first
    bool is_slow = false;  ///< did not come when it was waited for; until its next call
  };
  struct Inside {
    std::uint64_t since_ns;
  };

  [[nodiscard]] std::vector<pid_t> processes(pid_t caller) const;
  void look_for_threads(pid_t caller) TEEIO_REQUIRES(mutex_);
  /// `born` none: not known.
  void meet(pid_t pid, pid_t tid, std::optional<std::uint64_t> born) TEEIO_REQUIRES(mutex_);
  /// Another one at its call, or who may come to one, is before `tid`.
  [[nodiscard]] bool must_wait(pid_t tid, std::uint64_t since_ns) TEEIO_REQUIRES(mutex_);
  void begin(pid_t tid) TEEIO_REQUIRES(mutex_);

  const std::string proc_;
  const std::uint64_t patience_ns_;
  schedule::Mutex mutex_{schedule::Rank::kSupervisor};
  schedule::Condition changed_;
  schedule::Atomic<int> arriving_{0};  ///< calls that want the lock
  std::uint64_t random_ TEEIO_GUARDED_BY(mutex_);
  std::vector<std::uint32_t> changes_ TEEIO_GUARDED_BY(mutex_);  ///< numbers of calls, ascending
  std::uint32_t calls_ TEEIO_GUARDED_BY(mutex_) = 0;
  std::int64_t lowest_ TEEIO_GUARDED_BY(mutex_) = 0;  ///< of those that were changed
  std::map<pid_t, Thread> threads_ TEEIO_GUARDED_BY(mutex_);
  std::set<pid_t> waiting_ TEEIO_GUARDED_BY(mutex_);
  std::map<pid_t, Inside> inside_ TEEIO_GUARDED_BY(mutex_);
  std::set<pid_t> callers_ TEEIO_GUARDED_BY(mutex_);
  std::uint32_t overtakings_ TEEIO_GUARDED_BY(mutex_) = 0;
};

}  // namespace teeio::run
