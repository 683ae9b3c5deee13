#include "run/injector.h"

#include <unistd.h>

#include <algorithm>

#include "object/trace.h"
#include "run/program_stack.h"
#include "run/sys.h"

namespace teeio::run {

using schedule::Fault;
using schedule::FaultPlace;

namespace {

std::unique_ptr<Order> order_of(const std::vector<Injection>& injections) {
  const auto at = std::ranges::find(injections, Injection::Kind::kOrder, &Injection::kind);
  if (at == injections.end()) return nullptr;
  return std::make_unique<Order>(
      Order::Plan{.seed = at->seed, .changes = at->nth - 1, .calls = at->calls});
}

bool is_alive(pid_t tid) { return ::access(proc_path(tid, "stat").c_str(), F_OK) == 0; }

}  // namespace

Injector::Injector(std::vector<Injection> injections)
    : injections_(std::move(injections)), order_(order_of(injections_)) {}

void Injector::note_caller(pid_t tid) {
  ++calls_;
  if (order_point_) {
    points_[*order_point_].nth = calls_;
    return;
  }
  if (!callers_.insert(tid).second || callers_.size() == 1) return;
  std::erase_if(callers_, [&](pid_t other) { return other != tid && !is_alive(other); });
  if (callers_.size() == 1 || points_.size() == kMaxPoints) return;
  order_point_ = points_.size();
  points_.push_back({Injection::Kind::kOrder, std::string(kThreads), Fault::kNone, calls_});
}

Injector::Key Injector::key_of(const Injection& injection) {
  const bool below =
      injection.kind == Injection::Kind::kFirmware || injection.kind == Injection::Kind::kDevice;
  // Calls have one count, whatever is done to them.
  return {below ? injection.kind : Injection::Kind::kKill, injection.name, injection.fault};
}

const Injection* Injector::pass(Injection::Kind kind, std::string_view name, Fault fault) {
  const schedule::RawLockGuard guard(lock_);
  const Key key{kind, std::string(name), fault};
  const std::uint32_t nth = ++counts_[key];
  if (keeps_ && points_.size() < kMaxPoints)
    points_.push_back({kind, std::string(name), fault, nth});
  const auto due = std::ranges::find_if(injections_, [&](const Injection& injection) {
    return injection.nth == nth && key_of(injection) == key;
  });
  return due == injections_.end() ? nullptr : &*due;
}

Injector::Due Injector::call(std::string_view name, pid_t tid) {
  using enum Due::What;
  if (keeps_ && tid != 0) {
    const schedule::RawLockGuard guard(lock_);
    note_caller(tid);
  }
  const Injection* const due = pass(Injection::Kind::kKill, name, Fault::kNone);
  if (due == nullptr) return {kNothing};
  take_stack(tid);
  if (due->kind != Injection::Kind::kKill) return {kRefuse, due->error};
  return {due->when == Injection::When::kBefore ? kKillBefore : kKillAfter};
}

bool Injector::happens(FaultPlace place, std::string_view name, Fault fault) {
  const Injection::Kind kind =
      place == FaultPlace::kFirmware ? Injection::Kind::kFirmware : Injection::Kind::kDevice;
  if (pass(kind, name, fault) == nullptr) return false;
  take_stack(object::OriginScope::current().tid);
  return true;
}

void Injector::take_stack(pid_t tid) {
  {
    const schedule::RawLockGuard guard(lock_);
    if (!keeps_stack_ || stack_) return;
  }
  std::vector<std::string> stack;
  if (tid != 0) stack = program_stack(tid);
  const schedule::RawLockGuard guard(lock_);
  if (!stack_) stack_ = std::move(stack);
}

std::vector<std::string> Injector::stack() const {
  const schedule::RawLockGuard guard(lock_);
  return stack_.value_or(std::vector<std::string>{});
}

std::vector<Injection> Injector::unfired() const {
  std::vector<Injection> rest;
  for (const Injection& injection : injections_) {
    const bool happened = injection.kind == Injection::Kind::kOrder
                              ? order_->had_a_choice()
                              : count_of(injection) >= injection.nth;
    if (!happened) rest.push_back(injection);
  }
  return rest;
}

std::uint32_t Injector::count_of(const Injection& injection) const {
  const schedule::RawLockGuard guard(lock_);
  const auto at = counts_.find(key_of(injection));
  return at == counts_.end() ? 0 : at->second;
}

std::vector<std::string> Injector::names_for(const Injection& injection) const {
  const schedule::RawLockGuard guard(lock_);
  const Key wanted = key_of(injection);
  std::vector<std::string> names;
  for (const auto& [key, count] : counts_)
    if (std::get<0>(key) == std::get<0>(wanted) && std::get<2>(key) == std::get<2>(wanted))
      names.push_back(std::get<1>(key));
  return names;
}

}  // namespace teeio::run
