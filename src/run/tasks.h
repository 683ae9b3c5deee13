#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "run/address_space.h"
#include "run/device_files.h"
#include "run/fd.h"
#include "schedule/atomic.h"
#include "schedule/mutex.h"

namespace teeio::run {

/// What a number means in one thread of the program. As long as it lives, the
/// file is not released.
struct Lookup {
  enum class Kind : std::uint8_t { kClosed, kForeign, kOurs } kind = Kind::kClosed;
  DeviceFileRef file;  ///< of kOurs
};

/// The threads of the program that called us: whose number is which file, and
/// which of them share an address space.
///
/// A number is looked up in /proc and remembered a thread, but only numbers
/// whose every change is trapped: those from kFirstFd on and the standard ones.
/// While a call that changes such a number runs natively, the number is not
/// remembered: the change is over when its thread calls again or is gone. A
/// pidfd says that a thread is gone, so a reused thread id cannot inherit.
///
/// Locking: its own, a leaf.
class Tasks {
 public:
  explicit Tasks(DeviceFiles& files);

  /// A call of `tid` arrived: what it changed before is over.
  void on_call(pid_t tid);
  /// `tid` is about to close or replace the numbers [first, last] natively.
  void on_change(pid_t tid, unsigned first, unsigned last);
  /// `tid` is about to replace its program.
  void on_exec(pid_t tid);
  /// How often somebody may have got another address space.
  [[nodiscard]] std::uint64_t exec_count() const { return execs_.load(); }

  [[nodiscard]] Lookup lookup(pid_t tid, int fd);
  [[nodiscard]] pid_t process_of(pid_t tid);
  /// Whether "/" of `tid` is ours, in the same mount namespace.
  [[nodiscard]] bool has_our_root(pid_t tid);
  /// Some thread is about to change its root or mount namespace.
  void on_root_change();
  /// Equal for threads that share an address space, else different; from 1.
  [[nodiscard]] std::uint64_t mm_id(pid_t tid);
  /// The memory of `tid`, kept a process until somebody executes a program or ends. Never null.
  [[nodiscard]] std::shared_ptr<const AddressSpace> address_space(pid_t tid);

  /// A duplicate, in this process, of number `fd` of `tid`. Errors: EBADF,
  /// ESRCH of one that is gone, EPERM where the program forbids inspection.
  Result<Fd> steal(pid_t tid, int fd);
  /// The lowest number from `from` on that is free in `tid`. Errors: EMFILE.
  /// The caller serialises until the number is in use.
  Result<int> free_number(pid_t tid, int from);

  /// Readable when a known thread is gone: call reap().
  [[nodiscard]] int epoll_fd() const { return epoll_.get(); }
  void reap(pid_t tid);
  /// Told of each task that reap() reaps. Before the first.
  void on_end(std::function<void(pid_t)> told) { ended_ = std::move(told); }

 private:
  /// A Lookup that does not keep the file from being released.
  struct Known {
    Lookup::Kind kind;
    std::weak_ptr<DeviceFile> file;
  };
  struct Task {
    pid_t process = 0;
    Fd pidfd;
    /// Before Linux 6.9 a thread has only its process's pidfd: that its id still
    /// means a thread of that process is then asked each time.
    bool is_of_process = false;
    int our_root = -1;  ///< -1 unknown, else a truth value
    std::map<int, Known> numbers;
  };
  struct Change {
    pid_t tid;
    unsigned first;
    unsigned last;
  };
  /// 16 bytes that execve() makes anew (AT_RANDOM).
  using ExecMark = std::array<std::uint64_t, 2>;
  struct Space {
    std::uint64_t id;
    pid_t process;
    Fd pidfd;
    ExecMark mark;
  };
  struct Memory {
    std::shared_ptr<const AddressSpace> space;
    std::uint64_t execs;  ///< exec_count() before it was opened
  };

  Task& task_locked(pid_t tid) TEEIO_REQUIRES(mutex_);
  void forget_locked(pid_t tid) TEEIO_REQUIRES(mutex_);
  [[nodiscard]] static bool is_in(const std::vector<Change>& changes, int fd);
  /// What is changed right now in the descriptor table of `tid`.
  [[nodiscard]] std::vector<Change> changes_of_table(pid_t tid);
  [[nodiscard]] Lookup look_in_proc(pid_t tid, int fd);
  [[nodiscard]] static ExecMark exec_mark(pid_t tid);

  std::function<void(pid_t)> ended_;
  schedule::Atomic<std::uint64_t> execs_{0};
  DeviceFiles& files_;
  const Fd epoll_;
  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  std::map<pid_t, Task> tasks_ TEEIO_GUARDED_BY(mutex_);
  std::vector<Change> changes_ TEEIO_GUARDED_BY(mutex_);
  std::uint64_t change_count_ TEEIO_GUARDED_BY(mutex_) = 0;
  schedule::Mutex spaces_mutex_{schedule::Rank::kLeaf};
  std::vector<Space> spaces_ TEEIO_GUARDED_BY(spaces_mutex_);
  std::map<pid_t, Memory> memories_ TEEIO_GUARDED_BY(spaces_mutex_);  ///< by process
  std::uint64_t next_space_ TEEIO_GUARDED_BY(spaces_mutex_) = 1;
};

}  // namespace teeio::run
