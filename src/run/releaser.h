#pragma once

#include <cstdint>
#include <deque>
#include <functional>

#include "run/calls_in_progress.h"
#include "run/device_files.h"
#include "run/fd.h"
#include "run/tasks.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"

namespace teeio::run {

/// Runs the releases of files whose last close happened, one after the other,
/// in the order in which the kernel reported them.
///
/// A call waits for the releases that were due before it: drain() after its
/// arrival gives a ticket, wait() lets it pass. Between calls the task itself
/// drains, so a file does not stay open because nobody calls.
///
/// Locking: rank kSupervisor; not held while a release runs. A release never
/// waits for the program.
class Releaser {
 public:
  /// `after`: runs after each release, outside the lock, with the file's name.
  Releaser(DeviceFiles& files, Tasks& tasks, CallsInProgress& calls,
           std::function<void(const std::string&)> after);

  using Ticket = std::uint64_t;
  /// Collects the last closes and deaths so far.
  Ticket drain();
  void wait(Ticket ticket);

  /// The task's body; returns after stop(), when nothing is left to do.
  void run();
  void stop();
  /// What is open yet, outside of the run if anywhere, counts as closed: a call may wait for it
  /// (object/waits_for_closes.h). Precondition: the program has ended.
  void take_rest();
  /// Releases what no process holds any more but was never reported closed.
  /// Precondition: the program has ended and run() has returned.
  void release_all();

 private:
  void wake();
  void release(DeviceFileRef file);
  /// The next file, or nullptr after a wake-up without one.
  DeviceFileRef next();

  DeviceFiles& files_;
  Tasks& tasks_;
  CallsInProgress& calls_;
  const std::function<void(const std::string&)> after_;
  const Fd epoll_;
  const Fd wake_;
  schedule::Mutex mutex_{schedule::Rank::kSupervisor};
  schedule::Condition progress_;
  std::deque<DeviceFileRef> queue_ TEEIO_GUARDED_BY(mutex_);
  Ticket queued_ TEEIO_GUARDED_BY(mutex_) = 0;
  Ticket done_ TEEIO_GUARDED_BY(mutex_) = 0;
  bool stopping_ TEEIO_GUARDED_BY(mutex_) = false;
};

}  // namespace teeio::run
