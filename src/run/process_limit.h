#pragma once

#include <sys/types.h>

#include "schedule/raw_lock.h"

namespace teeio::run {

/// How many processes and threads a program may have at a time: what RLIMIT_NPROC is for,
/// which does not count root's and counts the user's others.
///
/// Locking: its own, a leaf.
class ProcessLimit {
 public:
  /// 0: no limit.
  explicit ProcessLimit(unsigned most) : most_(most) {}

  [[nodiscard]] bool limits() const { return most_ != 0; }
  /// Whether there may be one more. Looks at /proc only when so many were made.
  [[nodiscard]] bool admits();
  /// From now on there may be none.
  void close();
  /// Whether one was not admitted.
  [[nodiscard]] bool was_reached() const;

 private:
  const unsigned most_;
  mutable schedule::RawLock lock_;
  unsigned made_ = 0;  ///< at least as many as there are
  bool closed_ = false;
  bool reached_ = false;
};

}  // namespace teeio::run
