#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "host/mm/caller.h"
#include "run/fd.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"
#include "schedule/task.h"

namespace teeio::run {

/// Waits for the signals of all eventfds that are watched, on one thread, however many they are.
///
/// Each has an epoll instance of its own in the thread's: what waits when it begins to be watched
/// is taken out of that, and only what comes then is the thread's.
/// A signal that others have read before the thread has looked is lost: epoll asks the file again
/// (fs/eventpoll.c, ep_send_events()), whereas a function in the eventfd's wait queue takes it in
/// the write itself (docs/divergences.md).
///
/// Lifetime: shared by its watches; the thread ends with the last of them.
/// Locking: its own, a leaf, not held while somebody is told.
class EventWatcher {
 public:
  /// The one that there is, or a new one. nullptr: no descriptor or thread is left.
  [[nodiscard]] static std::shared_ptr<EventWatcher> get();
  ~EventWatcher();
  EventWatcher(const EventWatcher&) = delete;
  EventWatcher& operator=(const EventWatcher&) = delete;

  /// EventFd::watch() of the eventfd `fd`, which `owner` keeps open: `signalled` is called once
  /// at once for a signal that waits, of which the count stays, then on the thread. nullptr: no
  /// descriptor is left.
  [[nodiscard]] static std::unique_ptr<mm::EventWatch> watch(object::Ref<mm::EventFd> owner,
                                                             const Fd& fd,
                                                             std::function<void()> signalled);

 private:
  class Watch;
  EventWatcher();
  [[nodiscard]] bool start();
  [[nodiscard]] bool add(Watch& watch) TEEIO_EXCLUDES(mutex_);
  /// Returns when it is not being told.
  void remove(Watch& watch) TEEIO_EXCLUDES(mutex_);
  void run();
  void tell(std::uint64_t number) TEEIO_EXCLUDES(mutex_);

  const Fd stop_, events_;
  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  schedule::Condition told_;
  std::uint64_t last_number_ TEEIO_GUARDED_BY(mutex_) = 0;
  std::uint64_t in_hand_ TEEIO_GUARDED_BY(mutex_) = 0;  ///< who is being told; 0: nobody
  std::map<std::uint64_t, Watch*> watches_ TEEIO_GUARDED_BY(mutex_);
  std::optional<schedule::Task> task_;
};

}  // namespace teeio::run
