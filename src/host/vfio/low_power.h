#pragma once

#include <cstdint>

#include "host/mm/caller.h"
#include "object/ref.h"
#include "schedule/monitor.h"
#include "schedule/raw_lock.h"

namespace teeio::vfio {

/// A function's runtime power management, once its user has let go of it.
struct LowPower {
  bool engaged = false;             ///< vdev->pm_runtime_engaged
  bool suspended = false;           ///< dev->power.runtime_status
  object::Ref<mm::EventFd> wakeup;  ///< vdev->pm_wake_eventfd_ctx
  bool intx_masked = false;         ///< vdev->pm_intx_masked
};

/// How many calls keep a function awake (Linux: dev->power.usage_count), and whether its user lets
/// it sleep when they have ended.
///
/// Locking: its own, no scheduling point: explored, calls that begin and end commute, but with a
/// look at how many there are.
class AwakeCount {
 public:
  void begin() {
    turn_.touch(kCount, How::kUpdate);
    const schedule::RawLockGuard guard(lock_);
    ++count_;
  }
  /// Whether its user lets it sleep.
  [[nodiscard]] bool end() {
    turn_.touch(kCount, How::kUpdate);
    turn_.touch(kEngaged, How::kRead);
    const schedule::RawLockGuard guard(lock_);
    --count_;
    return engaged_;
  }
  [[nodiscard]] bool any() const {
    turn_.touch(kCount, How::kRead);
    const schedule::RawLockGuard guard(lock_);
    return count_ != 0;
  }
  void engage(bool engaged) {
    turn_.touch(kEngaged, How::kWrite);
    const schedule::RawLockGuard guard(lock_);
    engaged_ = engaged;
  }

 private:
  using How = schedule::Touch::How;
  static constexpr std::uint64_t kCount = 0, kEngaged = 1;  ///< elements of turn_

  const schedule::Turn turn_{"awake"};
  mutable schedule::RawLock lock_;
  std::uint32_t count_ TEEIO_GUARDED_BY(lock_) = 0;
  bool engaged_ TEEIO_GUARDED_BY(lock_) = false;
};

}  // namespace teeio::vfio
