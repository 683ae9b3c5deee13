#pragma once

#include <cstdint>
#include <mutex>
#include <shared_mutex>

#include "schedule/annotations.h"
#include "schedule/rank.h"

namespace teeio::schedule {

/// A sleeping lock with a place in the lock order.
///
/// Taking it checks the order (rank.h) in native and explored runs alike; a
/// violation is a failed check, as is a second lock by its holder. try_lock()
/// never sleeps, so the order does not bind it (as in Linux's lockdep).
class TEEIO_CAPABILITY("mutex") Mutex {
 public:
  explicit Mutex(Rank rank) : rank_(rank) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  ~Mutex();

  void lock() TEEIO_ACQUIRE();
  void unlock() TEEIO_RELEASE();
  [[nodiscard]] bool try_lock() TEEIO_TRY_ACQUIRE(true);
  /// Fails a check unless this task holds the lock.
  void assert_held() const TEEIO_ASSERT_CAPABILITY(this);

 private:
  friend class Condition;
  std::mutex native_;
  const Rank rank_;
  bool taken_ = false;        // explored mode's state
  std::uint32_t number_ = 0;  // explored mode's object number
};

/// Linux's rw_semaphore: many readers or one writer.
class TEEIO_CAPABILITY("mutex") RwMutex {
 public:
  explicit RwMutex(Rank rank) : rank_(rank) {}
  RwMutex(const RwMutex&) = delete;
  RwMutex& operator=(const RwMutex&) = delete;
  ~RwMutex();

  void lock() TEEIO_ACQUIRE();
  void unlock() TEEIO_RELEASE();
  void lock_shared() TEEIO_ACQUIRE_SHARED();
  void unlock_shared() TEEIO_RELEASE_SHARED();
  /// down_write_trylock(); the order does not bind it.
  [[nodiscard]] bool try_lock() TEEIO_TRY_ACQUIRE(true);
  /// Fails a check unless this task holds the lock, for reading or writing.
  void assert_held() const TEEIO_ASSERT_SHARED_CAPABILITY(this);

 private:
  std::shared_mutex native_;
  const Rank rank_;
  std::uint32_t readers_ = 0;
  bool writer_ = false;
  std::uint32_t number_ = 0;
};

class TEEIO_SCOPED_CAPABILITY Lock {
 public:
  explicit Lock(Mutex& mutex) TEEIO_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~Lock() TEEIO_RELEASE() { mutex_.unlock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  Mutex& mutex_;
};

class TEEIO_SCOPED_CAPABILITY WriteLock {
 public:
  explicit WriteLock(RwMutex& mutex) TEEIO_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~WriteLock() TEEIO_RELEASE() { mutex_.unlock(); }
  WriteLock(const WriteLock&) = delete;
  WriteLock& operator=(const WriteLock&) = delete;

 private:
  RwMutex& mutex_;
};

class TEEIO_SCOPED_CAPABILITY ReadLock {
 public:
  explicit ReadLock(RwMutex& mutex) TEEIO_ACQUIRE_SHARED(mutex) : mutex_(mutex) {
    mutex_.lock_shared();
  }
  ~ReadLock() TEEIO_RELEASE_GENERIC() { mutex_.unlock_shared(); }
  ReadLock(const ReadLock&) = delete;
  ReadLock& operator=(const ReadLock&) = delete;

 private:
  RwMutex& mutex_;
};

}  // namespace teeio::schedule
