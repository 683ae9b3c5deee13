#include "hw/in_flight.h"

#include "schedule/controller.h"
#include "schedule/monitor.h"
#include "schedule/seeded_bug.h"

namespace teeio::hw {
namespace {

/// Which requests there are, of any IOMMU: who drains meets those that end.
const schedule::Turn kRequests("requests in flight");
constexpr std::uint8_t kPart = 0xee;  // no table of a run's first monitor

void touch_requests(schedule::Touch::How how) { kRequests.touch(schedule::part(kPart), how); }

}  // namespace

RequestsInFlight::Request::Request(RequestsInFlight& all) : all_(all) {
  touch_requests(schedule::Touch::How::kUpdate);
  const schedule::RawLockGuard guard(all.lock_);
  epoch_ = all.epoch_;
  next_ = all.first_;
  if (next_ != nullptr) next_->before_ = this;
  all.first_ = this;
}

RequestsInFlight::Request::~Request() {
  touch_requests(schedule::Touch::How::kUpdate);
  {
    const schedule::RawLockGuard guard(all_.lock_);
    if (next_ != nullptr) next_->before_ = before_;
    (before_ != nullptr ? before_->next_ : all_.first_) = next_;
    if (all_.drains_ == 0 || epoch_ == all_.epoch_) return;  // nobody waits for it
  }
  // One that another request pushes ends in that one's section.
  const auto tell = [](void* on) {
    auto& all = *static_cast<RequestsInFlight*>(on);
    const schedule::Lock lock(all.waiting_);
    all.ended_.notify_all();
  };
  schedule::after_section(tell, &all_);
}

bool RequestsInFlight::any_before(std::uint64_t epoch) {
  touch_requests(schedule::Touch::How::kRead);
  const schedule::RawLockGuard guard(lock_);
  for (const Request* at = first_; at != nullptr; at = at->next_)
    if (at->epoch_ < epoch) return true;
  return false;
}

void RequestsInFlight::drain() {
  const schedule::Controller* explored = schedule::controller();
  if (explored != nullptr && explored->in_section()) return;
  if (schedule::seeded("drain-forgotten")) return;
  touch_requests(schedule::Touch::How::kRead);
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
