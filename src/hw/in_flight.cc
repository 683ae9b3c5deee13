#include "hw/in_flight.h"

#include "schedule/controller.h"

namespace teeio::hw {

RequestsInFlight::Request::Request(RequestsInFlight& all) : all_(all) {
  const schedule::RawLockGuard guard(all.lock_);
  epoch_ = all.epoch_;
  next_ = all.first_;
  if (next_ != nullptr) next_->before_ = this;
  all.first_ = this;
}

RequestsInFlight::Request::~Request() {
  {
    const schedule::RawLockGuard guard(all_.lock_);
    if (next_ != nullptr) next_->before_ = before_;
    (before_ != nullptr ? before_->next_ : all_.first_) = next_;
    if (all_.drains_ == 0 || epoch_ == all_.epoch_) return;  // nobody waits for it
  }
  const schedule::Lock lock(all_.waiting_);
  all_.ended_.notify_all();
}

bool RequestsInFlight::any_before(std::uint64_t epoch) {
  const schedule::RawLockGuard guard(lock_);
  for (const Request* at = first_; at != nullptr; at = at->next_)
    if (at->epoch_ < epoch) return true;
  return false;
}

void RequestsInFlight::drain() {
  const schedule::Controller* explored = schedule::controller();
  if (explored != nullptr && explored->in_section()) return;
  std::uint64_t epoch = 0;
  {
    const schedule::RawLockGuard guard(lock_);
    if (first_ == nullptr) return;
    epoch = ++epoch_;
    ++drains_;
  }
  {
    const schedule::Lock lock(waiting_);
    while (any_before(epoch)) ended_.wait(waiting_);
  }
  const schedule::RawLockGuard guard(lock_);
  --drains_;
}

}  // namespace teeio::hw
