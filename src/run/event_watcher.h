#pragma once

#include <functional>
#include <map>
#include <optional>

#include "run/fd.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"
#include "schedule/task.h"

namespace teeio::run {

/// The one thread that waits for descriptors on behalf of many: a device alone may have a
/// thousand eventfds that write (VFIO_PCI_IOEVENTFD_MAX). It is there while somebody waits.
///
/// Locking: its own two; looks run with neither.
class EventWatcher {
 public:
  /// From now on `look` is called, on the thread, while `fd` is readable, until it has made that
  /// otherwise. The caller keeps `fd` open until remove(). False: no descriptor or no thread is
  /// left.
  [[nodiscard]] bool add(int fd, std::function<void()> look) TEEIO_EXCLUDES(life_, mutex_);
  /// Returns when `look` runs no more. Precondition: added, and not called by a look.
  void remove(int fd) TEEIO_EXCLUDES(life_, mutex_);

 private:
  [[nodiscard]] bool start() TEEIO_REQUIRES(life_);
  void end() TEEIO_REQUIRES(life_);
  void run();
  [[nodiscard]] const std::function<void()>* begin_look(int fd) TEEIO_EXCLUDES(mutex_);
  void end_look() TEEIO_EXCLUDES(mutex_);

  /// Over the thread's beginning and end; held while a look that runs is waited for.
  schedule::Mutex life_{schedule::Rank::kWaitQueue};
  Fd stop_, events_;  ///< changed while there is no thread
  std::optional<schedule::Task> task_ TEEIO_GUARDED_BY(life_);
  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  schedule::Condition idle_;
  std::map<int, std::function<void()>> looks_ TEEIO_GUARDED_BY(mutex_);
  int running_ TEEIO_GUARDED_BY(mutex_) = -1;  ///< whose look is called
};

/// This process's.
[[nodiscard]] EventWatcher& event_watcher();

}  // namespace teeio::run
