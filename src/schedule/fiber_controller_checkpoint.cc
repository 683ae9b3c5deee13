// Runs that begin where an earlier one came to a checkpoint.

#include <utility>

#include "schedule/fiber_controller_task.h"
#include "schedule/held_locks.h"
#include "schedule/races.h"

namespace teeio::schedule {

/// The first run is one like all others, in the ordinary heap: what is made once in a process
/// is made by it. The second looks for a checkpoint.
void FiberController::take_heap() {
  constexpr std::uint64_t kFirst = 2;
  ++runs_;
  if (wants_checkpoint_ && runs_ == kFirst) heap_ = RunHeap::take();
  if (runs_ > kFirst && heap_ != nullptr && start_ == nullptr) heap_.reset();  // it found none
  in_heap_ = heap_ != nullptr;
}

void FiberController::start_main(const std::function<void()>& body) {
  take_heap();
  if (start_ != nullptr) return begin_at_start();
  add_task("main", [&body] { body(); });
}

void FiberController::checkpoint() {
  const Unwatched unwatched;
  const bool is_first = outcome_.points == 0 && outcome_.choices.empty() && objects_.size() == 1 &&
                        tasks_.size() == 1 && current_ == 0;
  if (!in_heap_ || start_ != nullptr || !is_first) return;
  const OutsideRunHeap outside;
  // What says which locks are held is nobody's while none is.
  if (held_count() != 0) return;
  release_held_storage();
  Controller* const installed = controller();
  set_controller(installed == nullptr ? this : nullptr);
  if (held_count() != 0) return set_controller(installed);
  release_held_storage();
  set_controller(installed);
  at_checkpoint_ = true;
  thread_.switch_from(tasks_.front()->fiber);
}

void FiberController::save_start() {
  const TaskRecord& main = *tasks_.front();
  start_ = std::make_unique<Start>();
  start_->place = main.fiber.place();
  start_->native = native_state();
  start_->installed = controller();
  start_->random_state = main.random_state;
  start_->descendants_state = main.descendants_state;
  start_->locals = main.locals;
  heap_->save();
}

/// As save_start() left it.
void FiberController::begin_at_start() {
  heap_->go_back();
  // What the last run locked natively at its end: the pointer to it is about to be another.
  Controller* const installed = controller();
  set_controller(nullptr);
  release_held_storage();
  set_controller(installed);
  tasks_.push_back(std::move(start_->main));
  task_names_.emplace_back("main");
  TaskRecord& main = *tasks_.front();
  main.has_ended = false;
  main.lonely_retries = 0;
  main.random_state = start_->random_state;
  main.descendants_state = start_->descendants_state;
  main.locals = start_->locals;
  main.fiber.go_back(start_->place);
  set_native_state(start_->native);
  set_controller(start_->installed);
}

/// A run was frozen in the middle, and its stack is kept.
void FiberController::forget_start() {
  start_.reset();
  heap_.reset();
  wants_checkpoint_ = false;
}

}  // namespace teeio::schedule
