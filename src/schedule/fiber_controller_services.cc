// What tasks ask of their run beside whose turn it is.

#include <cstring>
#include <utility>

#include "schedule/choice_watch.h"
#include "schedule/fiber_controller_task.h"
#include "schedule/races.h"
#include "schedule/split_mix.h"
#include "schedule/usual_choice.h"

namespace teeio::schedule {
namespace {

std::function<void(std::string_view, std::uint32_t)> g_choice_watch;

}  // namespace

std::uint32_t FiberController::number_object(std::string_view name, const std::uint32_t* owner) {
  const OutsideRunHeap outside;
  const Unwatched unwatched;
  objects_.push_back({name, owner, false});
  return static_cast<std::uint32_t>(objects_.size() - 1);
}

bool FiberController::has_numbered(std::uint32_t number, const std::uint32_t* owner) const {
  const Unwatched unwatched;
  return number < objects_.size() && objects_[number].owner == owner;
}

// What is freed reads as no value that anybody left there, and as no address: a use of
// plain data in it is seen, which the primitives know of themselves.
void FiberController::quarantine(void* memory, void (*free)(void*)) {
  constexpr int kPoison = 0xdb;
  const OutsideRunHeap outside;
  const Unwatched unwatched;
  std::memset(memory, kPoison, usable_bytes(memory));
  retired_.push_back({memory, free});
}

bool FiberController::ended(std::uint32_t task) const {
  const Unwatched unwatched;
  return tasks_[task]->has_ended;
}

std::uint32_t FiberController::current_task() const {
  const Unwatched unwatched;
  return current_;
}

std::uint64_t FiberController::now_ns() const {
  const Unwatched unwatched;
  return now_ns_;
}

std::uint64_t* FiberController::task_locals() {
  const Unwatched unwatched;
  return tasks_[current_]->locals.data();
}

std::vector<Controller::Later>& FiberController::later() {
  const Unwatched unwatched;
  return tasks_[current_]->later;
}

std::uint64_t FiberController::random_u64() {
  const Unwatched unwatched;
  return split_mix(tasks_[current_]->random_state);
}

std::uint32_t FiberController::choose(std::uint32_t count, std::string_view what) {
  if (count < 2) return 0;
  const OutsideRunHeap outside;
  const Unwatched unwatched;
  const std::uint32_t chosen = draining_ ? 0 : strategy_.choose(count);
  if (g_choice_watch) g_choice_watch(what, chosen);
  TEEIO_CHECK(chosen < count, "a strategy chose what was not offered");
  outcome_.choices.push_back(chosen == 0 ? kUsualChoice
                                         : Choice{Choice::Kind::kAlternative, chosen});
  return chosen;
}

void watch_choices(std::function<void(std::string_view what, std::uint32_t chosen)> watch) {
  g_choice_watch = std::move(watch);
}

}  // namespace teeio::schedule
