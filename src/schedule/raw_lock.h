#pragma once

#include <mutex>

#include "schedule/annotations.h"

namespace teeio::schedule {

/// A lock that is no scheduling point and has no rank: for book-keeping such as
/// tracing, which must not change what an explored run can do. Never call
/// anything that may block or schedule while holding it.
class TEEIO_CAPABILITY("raw lock") RawLock {
 private:
  friend class RawLockGuard;
  std::recursive_mutex native_;
};

class TEEIO_SCOPED_CAPABILITY RawLockGuard {
 public:
  explicit RawLockGuard(RawLock& lock) TEEIO_ACQUIRE(lock) : guard_(lock.native_) {}
  RawLockGuard(const RawLockGuard&) = delete;
  RawLockGuard& operator=(const RawLockGuard&) = delete;
  ~RawLockGuard() TEEIO_RELEASE() {}

 private:
  std::lock_guard<std::recursive_mutex> guard_;
};

}  // namespace teeio::schedule
