#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>

#include "base/result.h"
#include "run/fd.h"
#include "schedule/mutex.h"

namespace teeio::run {

/// Whether this process may duplicate descriptors of its descendants
/// (pidfd_getfd). Some containers forbid it.
[[nodiscard]] bool can_steal_descriptors();

/// The kernel's number of an eventfd of this process (eventfd-id); nullopt of another file.
[[nodiscard]] std::optional<int> event_id(const Fd& fd);

/// Whether other processes have that eventfd open, as /proc shows it: a descriptor that is in
/// flight over a socket does not show, nor what is in a process that forbids inspection.
[[nodiscard]] bool held_by_others(int id);

/// Eventfds made for the program, where they cannot be had from it later: each
/// is known by the number that the kernel shows in fdinfo (eventfd-id).
///
/// Lifetime: all are kept until the run ends.
/// Locking: its own, a leaf.
class EventFds {
 public:
  static constexpr std::size_t kMaxKept = 4096;  ///< as many as a program may have interrupts

  /// Makes one; gives a descriptor to hand out. `flags` as eventfd2(2).
  /// Errors: as eventfd2(2), EMFILE beyond kMaxKept.
  Result<Fd> make(std::uint32_t count, int flags);
  /// A duplicate of the one that `tid` has under `fd`. Errors: EPERM when it
  /// was not made here.
  Result<Fd> find(pid_t tid, int fd);

 private:
  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  std::map<int, Fd> by_id_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::run
