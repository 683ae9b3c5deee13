#include "object/trace.h"

#include <algorithm>

#include "schedule/races.h"
#include "schedule/raw_lock.h"
#include "schedule/task.h"

namespace teeio::object {
namespace {

schedule::TaskLocal<const Origin*> t_origin;
schedule::TaskLocal<std::uint64_t> t_parent;
schedule::TaskLocal<std::uint64_t> t_lane;  // Lane + 1; 0: no call or scope is open

/// Rules read the facts about one function, or one VM, in their order. Two that
/// share a bit are held to be of one story: more than there are, never fewer.
std::uint64_t stories_of(const EventFields& fields) {
  constexpr std::uint32_t kVmBits = 20, kFunctionBits = 43;
  const auto bit = [](std::uint32_t at) { return std::uint64_t{1} << at; };
  std::uint64_t stories = 0;
  if (fields.vm != 0) stories |= bit(fields.vm % kVmBits);
  if (fields.function) stories |= bit(kVmBits + fields.function->rid() % kFunctionBits);
  return stories != 0 ? stories : bit(kVmBits + kFunctionBits);
}

}  // namespace

std::string_view lane_name(Lane lane) {
  switch (lane) {
    case Lane::kGuest:
      return "Guest";
    case Lane::kGuestTsm:
      return "Guest TSM";
    case Lane::kVmm:
      return "VMM";
    case Lane::kVfio:
      return "VFIO";
    case Lane::kIommufd:
      return "IOMMUFD";
    case Lane::kHostTsm:
      return "host TSM";
    case Lane::kKvm:
      return "KVM";
    case Lane::kFirmware:
      return "firmware";
    case Lane::kDevice:
      return "device";
  }
  return "?";
}

Lane current_lane() {
  const std::uint64_t lane = t_lane.get();
  return lane == 0 ? Lane::kVmm : static_cast<Lane>(lane - 1);
}

Event& Trace::emit(Lane from, Lane to, Fact fact, std::string_view name, EventFields&& fields) {
  std::deque<Event>& store = keep_ ? events_ : open_;
  Event& event = store.emplace_back();
  event.seq = next_seq_++;
  event.from = from;
  event.to = to;
  event.fact = fact;
  event.name = name;
  event.detail = std::move(fields.detail);
  event.function = fields.function;
  event.vm = fields.vm;
  event.a = fields.a;
  event.b = fields.b;
  event.c = fields.c;
  event.parent = t_parent.get();
  event.task = schedule::current_task();
  event.origin = OriginScope::current();
  for (TraceSink* sink : sinks_) sink->on_event(event);
  return event;
}

Trace::Call Trace::call(Lane from, Lane to, std::string_view name, EventFields fields) {
  const schedule::Unwatched unwatched(schedule::Unwatched::kLocks);
  const schedule::RawLockGuard guard(lock_);
  const Event& event = emit(from, to, Fact::kNone, name, std::move(fields));
  const std::uint64_t outer = t_parent.get();
  const std::uint64_t outer_lane = t_lane.get();
  t_parent.set(event.seq);
  t_lane.set(static_cast<std::uint64_t>(to) + 1);
  return Call(this, event.seq, outer, outer_lane);
}

Trace::Call Trace::call(Lane to, std::string_view name, EventFields fields) {
  return call(current_lane(), to, name, std::move(fields));
}

void Trace::fact(Lane lane, Fact fact, std::string_view name, EventFields fields) {
  schedule::told(stories_of(fields));
  const schedule::Unwatched unwatched(schedule::Unwatched::kLocks);
  const schedule::RawLockGuard guard(lock_);
  emit(lane, lane, fact, name, std::move(fields));
  if (!keep_) open_.pop_back();
}

void Trace::finish(Call& call, std::string outcome, std::string_view why, bool refused) {
  const schedule::Unwatched unwatched(schedule::Unwatched::kLocks);
  const schedule::RawLockGuard guard(lock_);
  call.done_ = true;
  std::deque<Event>& store = keep_ ? events_ : open_;
  const auto at = std::lower_bound(store.begin(), store.end(), call.seq_,
                                   [](const Event& e, std::uint64_t seq) { return e.seq < seq; });
  if (at == store.end() || at->seq != call.seq_) return;  // keep_events() changed on the way
  at->outcome = std::move(outcome);
  at->why = why;
  at->refused = refused;
  for (TraceSink* sink : sinks_) sink->on_outcome(*at);
  if (!keep_) store.erase(at);
}

Trace::Call::Call(Call&& other) noexcept
    : trace_(other.trace_),
      seq_(other.seq_),
      outer_(other.outer_),
      outer_lane_(other.outer_lane_),
      done_(other.done_) {
  other.trace_ = nullptr;
}

Trace::Call::~Call() {
  if (trace_ == nullptr) return;
  if (!done_) trace_->finish(*this, "ok", {}, false);
  t_parent.set(outer_);
  t_lane.set(outer_lane_);
}

void Trace::Call::refuse(const Error& error) {
  trace_->finish(*this, std::string(errno_name(error.code)), error.why, true);
}

void Trace::Call::refuse(std::string_view code, std::string_view why) {
  trace_->finish(*this, std::string(code), why, true);
}

void Trace::Call::outcome(std::string text) { trace_->finish(*this, std::move(text), {}, false); }

void Trace::add_sink(TraceSink& sink) {
  const schedule::Unwatched unwatched(schedule::Unwatched::kLocks);
  const schedule::RawLockGuard guard(lock_);
  sinks_.push_back(&sink);
}

void Trace::keep_events(bool keep) {
  const schedule::Unwatched unwatched(schedule::Unwatched::kLocks);
  const schedule::RawLockGuard guard(lock_);
  keep_ = keep;
}

LaneScope::LaneScope(Lane lane) : outer_(t_lane.get()) {
  t_lane.set(static_cast<std::uint64_t>(lane) + 1);
}

LaneScope::~LaneScope() { t_lane.set(outer_); }

OriginScope::OriginScope(const Origin& origin) : origin_(origin), outer_(t_origin.get()) {
  t_origin.set(&origin_);
}

OriginScope::~OriginScope() { t_origin.set(outer_); }

Origin OriginScope::current() {
  const Origin* origin = t_origin.get();
  return origin == nullptr ? Origin{} : *origin;
}

}  // namespace teeio::object
