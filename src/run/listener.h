#pragma once

#include <linux/seccomp.h>

#include <cstdint>

#include "base/result.h"
#include "run/fd.h"

namespace teeio::run {

/// The kernel's end of the filter: trapped calls come out, answers go in.
///
/// Lifetime: as long as it is open, trapped calls wait for an answer; when it
/// is closed or its process dies, they fail with ENOSYS.
/// Locking: none needed; any thread may answer, one receives.
class Listener {
 public:
  explicit Listener(Fd fd);

  /// Waits for the next trapped call. Errors: EINTR when this thread met a
  /// signal; ENOENT when the call's thread died meanwhile or no thread has the
  /// filter any more (see ended()).
  Result<seccomp_notif> receive();
  /// Whether every thread with the filter is gone.
  [[nodiscard]] bool ended() const;

  // Answers. That the caller died meanwhile is nobody's error.
  void reply_value(std::uint64_t id, std::int64_t value);
  void reply_error(std::uint64_t id, std::int32_t error);  ///< `error` > 0
  void reply_continue(std::uint64_t id);                   ///< the kernel does it
  /// Whether the caller still waits for its answer.
  [[nodiscard]] bool waiting(std::uint64_t id) const;

  enum class Number : std::uint8_t { kLowest, kExact };
  /// Gives the caller a descriptor of `fd`'s file before the answer. Returns
  /// its number. Errors: EMFILE, ESRCH when the caller died.
  Result<int> add_fd(std::uint64_t id, int fd, std::uint32_t flags, Number how, int number);

 private:
  void send(std::uint64_t id, std::int64_t value, std::int32_t error, std::uint32_t flags);

  Fd fd_;
};

}  // namespace teeio::run
