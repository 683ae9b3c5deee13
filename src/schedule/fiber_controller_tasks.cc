// How tasks begin, leave for each other and end. Not instrumented by ThreadSanitizer
// (src/CMakeLists.txt): who left for the last time never returns from here, and would leave
// these functions on a stack that it keeps of the fiber, task after task.

#include <exception>
#include <string>
#include <utility>

#include "base/check.h"
#include "schedule/fiber_controller_task.h"
#include "schedule/held_locks.h"
#include "schedule/races.h"

namespace teeio::schedule {

void FiberController::task_entry(void* controller) {
  auto& self = *static_cast<FiberController*>(controller);
  TaskRecord& task = self.begin_task();
  std::string thrown;
  try {
    task.body();
  } catch (const std::exception& e) {
    thrown = std::string("a task threw: ") + e.what();
  } catch (...) {
    thrown = "a task threw";
  }
  if (!thrown.empty()) self.stop({Finding::Kind::kCheck, std::move(thrown), ""});
  task.body = nullptr;  // what it owns may take locks on its way out
  TEEIO_CHECK(held_count() == 0, "a task ends while it holds a lock");
  const OutsideRunHeap outside;
  release_held_storage();
  self.end_current_task();
}

FiberController::TaskRecord& FiberController::begin_task() {
  ordered_after(place_of_task(current_task()));
  const Unwatched unwatched;
  detail::t_in_run_heap = in_heap_;
  return *tasks_[current_];
}

void FiberController::end_current_task() {
  ordered_before(place_of_task(current_task()));
  const Unwatched unwatched;
  tasks_[current_]->has_ended = true;
  const std::uint32_t next = starter_ != kNobody ? std::exchange(starter_, kNobody) : next_task();
  leave_for(next, Fiber::Last::kYes);
  std::unreachable();
}

void FiberController::leave_for(std::uint32_t next, Fiber::Last last) {
  ordered_before(this);
  Fiber& from = tasks_[current_]->fiber;
  current_ = next;
  Fiber& to = next == kNobody ? thread_ : tasks_[next]->fiber;
  to.switch_from(from, last);
}

}  // namespace teeio::schedule
