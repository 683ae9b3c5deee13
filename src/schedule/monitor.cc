#include "schedule/monitor.h"

#include <vector>

#include "base/check.h"
#include "schedule/controller.h"
#include "schedule/held_locks.h"
#include "schedule/races.h"
#include "schedule/split_mix.h"

namespace teeio::schedule {
namespace {

constinit thread_local std::uint64_t t_monitors = 0;

constexpr std::uint64_t kWhole = 0;

/// Monitors of this OS thread, of which tasks are none.
std::uint64_t next_identity() {
  const Unwatched unwatched;
  return ++t_monitors;
}

/// What two monitors call by one part must not meet.
std::uint64_t element_of(std::uint64_t identity, std::uint64_t part) {
  return mix(part + identity * kGolden);
}

}  // namespace

namespace detail {
std::uint64_t monitors_made() { return t_monitors; }
void set_monitors_made(std::uint64_t count) { t_monitors = count; }
}  // namespace detail

Monitor::Monitor(Rank rank) : rank_(rank), identity_(next_identity()) {}

Monitor::~Monitor() { detail::destroy(number_); }

void Monitor::enter(Touch::How whole) {
  push_held(this, rank_);
  Controller* const c = controller();
  if (c == nullptr) return native_.lock();
  const Unwatched unwatched;
  if (!c->in_section())
    c->point({OpKind::kSection, detail::number_of(*c, number_, rank_name(rank_))}, nullptr,
             nullptr);
  c->begin_section();
  c->touched({element_of(identity_, kWhole), whole});
}

void Monitor::lock() {
  enter(Touch::How::kWrite);
  ordered_after(this);
}

void Monitor::lock_by_parts() {
  enter(Touch::How::kRead);
  ordered_after(this);
}

void Monitor::unlock() {
  if (controller() != nullptr) ordered_before(this);
  leave();
}

void Monitor::leave() {
  pop_held(this);
  Controller* const c = controller();
  if (c == nullptr) return native_.unlock();
  c->end_section();
}

void Monitor::give_way() {
  Controller* const c = controller();
  if (c == nullptr) {
    native_.unlock();
    return native_.lock();
  }
  // What is put off would run between the two, with moves of its own.
  TEEIO_CHECK(!c->has_deferred(), "a section that has put something off gives way");
  const std::vector<Touch> before = c->touches();
  ordered_before(this);
  c->end_section();
  TEEIO_CHECK(!c->in_section(), "a section in another one gives way");
  c->point({OpKind::kSection, number_}, nullptr, nullptr);
  c->begin_section();
  for (const Touch& touch : before) c->touched(touch);
  ordered_after(this);
}

void Monitor::assert_held() const { TEEIO_CHECK(is_held(this), "a lock that must be held is not"); }

void Monitor::touch(std::uint64_t part, Touch::How how) const {
  if (Controller* const c = controller(); c != nullptr)
    c->touched({element_of(identity_, part), how});
}

Instant::Instant(Monitor* monitor) : monitor_(nullptr) {
  const Controller* const c = controller();
  if (c == nullptr || c->in_section() || monitor == nullptr) return;
  monitor_ = monitor;
  monitor_->enter(Touch::How::kRead);
}

Instant::~Instant() {
  if (monitor_ != nullptr) monitor_->leave();
}

void after_section(void (*act)(void*), void* on) {
  Controller* const c = controller();
  c != nullptr && c->in_section() ? c->defer(act, on) : act(on);
}

Turn::Turn(std::string_view name) : name_(name), identity_(next_identity()) {}

Turn::~Turn() { detail::destroy(number_); }

void Turn::take(std::uint64_t part, Touch::How how) const {
  Controller* const c = controller();
  if (c == nullptr) return;
  if (!c->in_section())
    c->point({OpKind::kSection, detail::number_of(*c, number_, name_)}, nullptr, nullptr);
  c->touched({element_of(identity_, part), how});
}

void Turn::touch(std::uint64_t part, Touch::How how) const {
  if (Controller* const c = controller(); c != nullptr)
    c->touched({element_of(identity_, part), how});
}

}  // namespace teeio::schedule
