#include "schedule/mutex.h"

#include "base/check.h"
#include "schedule/controller.h"
#include "schedule/held_locks.h"
#include "schedule/races.h"

namespace teeio::schedule {
namespace {

// In explored mode every function below first meets its scheduling point and
// only then changes the lock: the change belongs to the announced step.
void announce(Controller& c, OpKind kind, std::uint32_t& number, Rank rank,
              bool (*enabled)(const void*) = nullptr, const void* context = nullptr) {
  c.point({kind, detail::number_of(c, number, rank_name(rank))}, enabled, context);
}

}  // namespace

Mutex::~Mutex() {
  TEEIO_CHECK(!taken_, "a lock is destroyed while it is held");
  detail::destroy(number_);
}

void Mutex::lock() {
  push_held(this, rank_);
  if (Controller* c = controller(); c != nullptr) {
    {
      const Unwatched unwatched;
      announce(
          *c, OpKind::kLock, number_, rank_,
          [](const void* m) { return !static_cast<const Mutex*>(m)->taken_; }, this);
      taken_ = true;
    }
    return ordered_after(this);
  }
  native_.lock();
}

bool Mutex::try_lock() {
  TEEIO_CHECK(!is_held(this), "a task locks what it holds already");
  if (Controller* c = controller(); c != nullptr) {
    {
      const Unwatched unwatched;
      announce(*c, OpKind::kLock, number_, rank_);
      if (taken_) return false;
      taken_ = true;
    }
    ordered_after(this);
  } else if (!native_.try_lock()) {
    return false;
  }
  push_tried(this, rank_);
  return true;
}

void Mutex::unlock() {
  pop_held(this);
  if (Controller* c = controller(); c != nullptr) {
    ordered_before(this);
    const Unwatched unwatched;
    announce(*c, OpKind::kUnlock, number_, rank_);
    taken_ = false;
    return;
  }
  native_.unlock();
}

void Mutex::assert_held() const { TEEIO_CHECK(is_held(this), "a lock that must be held is not"); }

RwMutex::~RwMutex() {
  TEEIO_CHECK(!writer_ && readers_ == 0, "a lock is destroyed while it is held");
  detail::destroy(number_);
}

void RwMutex::lock() {
  push_held(this, rank_);
  if (Controller* c = controller(); c != nullptr) {
    {
      const Unwatched unwatched;
      announce(
          *c, OpKind::kLock, number_, rank_,
          [](const void* m) {
            const auto* self = static_cast<const RwMutex*>(m);
            return !self->writer_ && self->readers_ == 0;
          },
          this);
      writer_ = true;
    }
    ordered_after(&readers_);
    return ordered_after(this);
  }
  native_.lock();
}

bool RwMutex::try_lock() {
  TEEIO_CHECK(!is_held(this), "a task locks what it holds already");
  if (Controller* c = controller(); c != nullptr) {
    {
      const Unwatched unwatched;
      announce(*c, OpKind::kLock, number_, rank_);
      if (writer_ || readers_ != 0) return false;
      writer_ = true;
    }
    ordered_after(&readers_);
    ordered_after(this);
  } else if (!native_.try_lock()) {
    return false;
  }
  push_tried(this, rank_);
  return true;
}

void RwMutex::unlock() {
  pop_held(this);
  if (Controller* c = controller(); c != nullptr) {
    ordered_before(this);
    const Unwatched unwatched;
    announce(*c, OpKind::kUnlock, number_, rank_);
    writer_ = false;
    return;
  }
  native_.unlock();
}

void RwMutex::lock_shared() {
  push_held(this, rank_);
  if (Controller* c = controller(); c != nullptr) {
    {
      const Unwatched unwatched;
      announce(
          *c, OpKind::kReadLock, number_, rank_,
          [](const void* m) { return !static_cast<const RwMutex*>(m)->writer_; }, this);
      ++readers_;
    }
    return ordered_after(this);
  }
  native_.lock_shared();
}

void RwMutex::unlock_shared() {
  pop_held(this);
  if (Controller* c = controller(); c != nullptr) {
    ordered_before(&readers_);  // a reader comes before the next writer, not before readers
    const Unwatched unwatched;
    announce(*c, OpKind::kReadUnlock, number_, rank_);
    --readers_;
    return;
  }
  native_.unlock_shared();
}

void RwMutex::assert_held() const { TEEIO_CHECK(is_held(this), "a lock that must be held is not"); }

}  // namespace teeio::schedule
