#pragma once

#include <mutex>

namespace teeio::schedule {

/// A lock that is no scheduling point and has no rank: for book-keeping such as
/// tracing, which must not change what an explored run can do. Never call
/// anything that may block or schedule while holding it.
class RawLock {
 private:
  friend class RawLockGuard;
  std::recursive_mutex native_;
};

class RawLockGuard {
 public:
  explicit RawLockGuard(RawLock& lock) : guard_(lock.native_) {}

 private:
  std::lock_guard<std::recursive_mutex> guard_;
};

}  // namespace teeio::schedule
