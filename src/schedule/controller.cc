#include "schedule/controller.h"

#include "base/check.h"
#include "schedule/races.h"
#include "schedule/run_heap.h"

namespace teeio::schedule {
namespace {

bool commute_on_one_object(OpKind a, OpKind b) {
  const auto both = [a, b](OpKind x, OpKind y) { return (a == x || a == y) && (b == x || b == y); };
  return both(OpKind::kReadLock, OpKind::kReadUnlock) || both(OpKind::kEnqueue, OpKind::kWait) ||
         both(OpKind::kLoad, OpKind::kLoad) || both(OpKind::kIncrement, OpKind::kDecrement) ||
         both(OpKind::kSection, OpKind::kSection);
}

/// Out of reach of the numbers that number_object() gives; four times the byte that freed
/// memory holds (FiberController::quarantine()), so that a primitive in it stays destroyed.
constexpr std::uint32_t kDestroyed = 0xdbdb'dbdb;

}  // namespace

bool commute(Op a, Op b) {
  if (is_yield(a.kind) || is_yield(b.kind)) return false;
  // Time passes only while no task can move: what sleeps meets nobody.
  if (a.kind == OpKind::kSleep || b.kind == OpKind::kSleep) return true;
  // A join is enabled by the end of a task that then does nothing more.
  if (a.kind == OpKind::kJoin || b.kind == OpKind::kJoin) return true;
  if (a.kind == OpKind::kTell || b.kind == OpKind::kTell) return true;
  return a.object != b.object || commute_on_one_object(a.kind, b.kind);
}

std::string_view op_name(OpKind kind) {
  switch (kind) {
    case OpKind::kLock:
      return "lock";
    case OpKind::kUnlock:
      return "unlock";
    case OpKind::kReadLock:
      return "read-lock";
    case OpKind::kReadUnlock:
      return "read-unlock";
    case OpKind::kEnqueue:
      return "enqueue";
    case OpKind::kWait:
      return "wait";
    case OpKind::kNotify:
      return "notify";
    case OpKind::kLoad:
      return "load";
    case OpKind::kStore:
      return "store";
    case OpKind::kIncrement:
      return "get";
    case OpKind::kDecrement:
      return "put";
    case OpKind::kTestCount:
      return "test";
    case OpKind::kDestroy:
      return "destroy";
    case OpKind::kJoin:
      return "join";
    case OpKind::kGiveWay:
      return "give-way";
    case OpKind::kYield:
      return "yield";
    case OpKind::kSleep:
      return "sleep";
    case OpKind::kSection:
      return "section";
    case OpKind::kTell:
      return "tell";
  }
  return "?";
}

namespace detail {

std::uint32_t number_of(Controller& c, std::uint32_t& number, std::string_view name) {
  const Unwatched unwatched;
  TEEIO_CHECK(number != kDestroyed, kUsedAfterFree);
  if (number == 0 || !c.has_numbered(number, &number)) number = c.number_object(name, &number);
  return number;
}

void destroy(std::uint32_t& number) noexcept {
  const Unwatched unwatched;
  if (Controller* c = controller(); c != nullptr && number != 0 && c->has_numbered(number, &number))
    c->point({OpKind::kDestroy, number}, nullptr, nullptr);
  // The store outlives the object's lifetime on purpose (quarantine.h): volatile
  // keeps the compiler from dropping it.
  const_cast<volatile std::uint32_t&>(number) = kDestroyed;
}

}  // namespace detail

void Controller::defer(void (*act)(void*), void* on) {
  const OutsideRunHeap outside;
  const Unwatched unwatched;
  later().push_back({act, on});
  has_deferred_ = true;
}

void Controller::act_later() {
  while (const std::optional<Later> next = take_later()) next->act(next->on);
}

std::optional<Controller::Later> Controller::take_later() {
  const Unwatched unwatched;
  has_deferred_ = false;
  std::vector<Later>& mine = later();
  if (mine.empty()) return std::nullopt;
  const Later next = mine.front();
  mine.erase(mine.begin());
  return next;
}

}  // namespace teeio::schedule
