#include "schedule/fiber_controller.h"

#include <algorithm>
#include <utility>

#include "base/source_name.h"
#include "schedule/fiber_controller_task.h"
#include "schedule/held_locks.h"
#include "schedule/monitor.h"
#include "schedule/races.h"
#include "schedule/split_mix.h"
#include "schedule/usual_choice.h"

namespace teeio::schedule {

namespace {

/// FNV-1a over 64-bit words.
std::uint64_t digest_of(std::uint64_t before, const Candidate& move) {
  const std::uint64_t word = std::uint64_t{move.task} << 40U |
                             std::uint64_t{std::to_underlying(move.op.kind)} << 32U |
                             move.op.object;
  return (before ^ word) * 0x100000001b3ULL;
}

/// Frozen tasks: never freed, since what they own may point into each other.
template <class T>
void keep_forever(T kept) {
  static auto& forever = *new std::vector<T>;
  forever.push_back(std::move(kept));
}

thread_local FiberController* t_running = nullptr;

}  // namespace

FiberController::FiberController(Strategy& strategy, RunLimits limits)
    : strategy_(strategy), limits_(limits) {}

FiberController::~FiberController() = default;

// ---- One run

Outcome FiberController::run(const std::function<void()>& body) {
  TEEIO_CHECK(controller() == nullptr, "an explored run is started within another");
  const CheckHandler handler_before = set_check_handler(on_check_failed);
  t_running = this;
  detail::set_explored(true);
  set_controller(this);
  start_run();
  start_main(body);
  ordered_before(place_of_task(0));
  for (;;) {
    current_ = 0;
    tasks_[0]->fiber.switch_from(thread_);
    ordered_after(this);
    detail::t_in_run_heap = false;
    if (!std::exchange(at_checkpoint_, false)) break;
    save_start();
  }
  finish_run();
  usual_choices_ = outcome_.choices.size();
  set_controller(nullptr);
  t_running = nullptr;
  detail::set_explored(false);
  set_check_handler(handler_before);
  return std::move(outcome_);
}

void FiberController::start_run() {
  outcome_ = {};
  outcome_.choices.reserve(usual_choices_);
  steps_.clear();
  objects_.clear();
  objects_.push_back({"", nullptr, true});
  task_names_.clear();
  now_ns_ = 0;
  draining_ = false;
  alone_ = false;
  starter_ = kNobody;
  sections_ = 0;
  after_section_ = false;
  has_deferred_ = false;
  detail::set_monitors_made(0);
  set_seed(1);  // what it draws while no controller is installed is the same in each run
}

void FiberController::finish_run() {
  if (outcome_.finding) return freeze();
  if (goes_back()) {
    start_->main = std::move(tasks_.front());
    tasks_.erase(tasks_.begin());
  }
  for (auto& task : tasks_) spare_.push_back(std::move(task));
  tasks_.clear();
  current_ = kNobody;
  for (const Retired& r : retired_) r.free(r.memory);
  retired_.clear();
}

void FiberController::freeze() {
  forget_start();
  give_up_statics();
  for (std::uint32_t i = 0; i < tasks_.size(); ++i) {
    current_ = i;
    release_held_storage();
    tasks_[i]->fiber.freeze();
  }
  current_ = kNobody;
  keep_forever(std::move(tasks_));
  keep_forever(std::move(retired_));
  tasks_.clear();
  retired_.clear();
}

FiberController::TaskRecord& FiberController::add_task(std::string_view name,
                                                       std::move_only_function<void()> body) {
  if (spare_.empty()) spare_.push_back(std::make_unique<TaskRecord>());
  tasks_.push_back(std::move(spare_.back()));
  spare_.pop_back();
  TaskRecord& task = *tasks_.back();
  task.number = static_cast<std::uint32_t>(tasks_.size() - 1);
  task.body = std::move(body);
  task.has_ended = false;
  task.lonely_retries = 0;
  // By descent, not by number: who spawns first must change nobody's sequence.
  task.random_state =
      current_ == kNobody ? limits_.seed : split_mix(tasks_[current_]->descendants_state);
  task.descendants_state = ~task.random_state;
  task.locals.fill(0);
  task.later.clear();
  task_names_.emplace_back(name);
  task.fiber.prepare(task_entry, this);
  return task;
}

void FiberController::stop(Finding finding) {
  const OutsideRunHeap outside;
  const Unwatched unwatched;
  outcome_.finding = Finding(std::as_const(finding));  // a copy that outlives the run's heap
  leave_for(kNobody, Fiber::Last::kNo);
  std::unreachable();
}

void FiberController::on_check_failed(std::string_view what, std::source_location where) {
  const Unwatched unwatched;
  if (t_running == nullptr || t_running->current_ == kNobody) return;
  t_running->stop({Finding::Kind::kCheck, std::string(what),
                   std::string(source_name(where)) + ':' + std::to_string(where.line())});
}

// ---- Points

void FiberController::point(Op op, bool (*enabled)(const void*), const void* context) {
  const OutsideRunHeap outside;
  const Unwatched unwatched;
  TEEIO_CHECK(!in_section(), "a section of a monitor meets a scheduling point");
  TaskRecord& self = *tasks_[current_];
  self.op = op;
  self.enabled = enabled;
  self.context = context;
  if (!alone_ || !moves_alone(self)) park();
  after_section_ = false;
  touches_.clear();
}

void FiberController::go_on_alone() {
  const Unwatched unwatched;
  for (const auto& task : tasks_)
    TEEIO_CHECK(task->has_ended || task->number == current_, "a task is not the only one left");
  alone_ = true;
}

/// Whether it need not wait; then it has moved.
bool FiberController::moves_alone(const TaskRecord& task) {
  if (task.op.kind == OpKind::kYield || outcome_.points == limits_.points) return false;
  if (task.enabled != nullptr && !task.enabled(task.context)) return false;
  note_move({.task = task.number, .op = task.op});
  if (task.op.kind == OpKind::kDestroy) objects_[task.op.object].destroyed = true;
  return true;
}

void checkpoint() {
  if (t_running != nullptr) t_running->checkpoint();
}

bool goes_back() { return t_running != nullptr && t_running->goes_back(); }
bool is_explored() { return t_running != nullptr; }

void go_on_alone() {
  if (t_running != nullptr && controller() != nullptr) t_running->go_on_alone();
}

bool FiberController::point_until(Op op, bool (*enabled)(const void*), const void* context,
                                  std::uint64_t timeout_ns) {
  const Unwatched unwatched;
  TaskRecord& self = *tasks_[current_];
  // kNever itself would be no deadline at all.
  self.deadline_ns = timeout_ns < kNever - 1 - now_ns_ ? now_ns_ + timeout_ns : kNever - 1;
  point(op, enabled, context);
  self.deadline_ns = kNever;
  return enabled(context);
}

void FiberController::count_point(Op op, std::uint32_t (*count)(const void*), const void* context) {
  const Unwatched unwatched;
  TaskRecord& self = *tasks_[current_];
  self.count = count;
  point(op, nullptr, context);
  self.count = nullptr;
}

void FiberController::park() {
  TaskRecord& self = *tasks_[current_];
  self.parked_at_point = outcome_.points;
  self.may_retry_alone = false;
  const std::uint32_t next = starter_ != kNobody ? std::exchange(starter_, kNobody) : next_task();
  if (next != current_) leave_for(next, Fiber::Last::kNo);
}

std::uint32_t FiberController::spawn(std::string_view name, std::move_only_function<void()> body) {
  const OutsideRunHeap outside;
  const Unwatched unwatched;
  TEEIO_CHECK(!alone_, "a task that goes on alone spawns another");
  TEEIO_CHECK(!in_section(), "a task is spawned in a section of a monitor");
  const std::uint32_t child = add_task(name, std::move(body)).number;
  ordered_before(place_of_task(child));
  const std::uint32_t starter_before = std::exchange(starter_, current_);
  leave_for(child, Fiber::Last::kNo);
  starter_ = starter_before;
  return child;
}

// ---- The choice of the next task

std::uint32_t FiberController::next_task() {
  while (!collect_candidates()) {
    tell_stuck();
    if (pass_time() || retry_alone()) continue;
    end_run();
    return kNobody;
  }
  if (outcome_.points == limits_.points) {
    outcome_.finding = {Finding::Kind::kLivelock, "the tasks go on without an end", ""};
    return kNobody;
  }
  const std::uint32_t index = ask_strategy();
  const Candidate& move = candidates_[index];
  if (candidates_.size() > 1)
    outcome_.choices.push_back(index == 0 ? kUsualChoice : Choice{Choice::Kind::kTask, move.task});
  note_move(move);
  TaskRecord& task = *tasks_[move.task];
  if (move.op.kind == OpKind::kYield && !task.may_retry_alone) task.lonely_retries = 0;
  note_count(move);
  if (move.op.kind == OpKind::kDestroy) {
    objects_[move.op.object].destroyed = true;
    if (is_waited_for(move)) return kNobody;
  }
  return move.task;
}

void FiberController::note_move(const Candidate& move) {
  ++outcome_.points;
  steps_.push_back({move.task, move.op});
  outcome_.digest = digest_of(outcome_.digest, move);
}

void FiberController::end_run() {
  if (std::ranges::any_of(tasks_, [](const auto& task) { return !task->has_ended; })) {
    outcome_.finding = deadlock();
    return;
  }
  if (!limits_.find_leaks) return;
  for (std::uint32_t i = 1; i < objects_.size(); ++i) {
    if (objects_[i].destroyed) continue;
    outcome_.finding = {
        Finding::Kind::kCheck,
        std::string(objects_[i].name) + " #" + std::to_string(i) + " lives on after its run", ""};
    return;
  }
}

/// Whoever is parked at an operation on it is too late: a finding.
bool FiberController::is_waited_for(const Candidate& destroyer) {
  for (const auto& task : tasks_) {
    if (task->has_ended || task->number == destroyer.task) continue;
    if (task->op.kind == OpKind::kJoin || task->op.object != destroyer.op.object) continue;
    outcome_.finding = {Finding::Kind::kCheck,
                        std::string(kUsedAfterFree) + ": " + task_names_[task->number] +
                            " waits to " + describe(task->op),
                        ""};
    return true;
  }
  return false;
}

std::uint32_t FiberController::ask_strategy() {
  if (draining_ || alone_) return 0;
  const std::uint32_t index =
      strategy_.pick({candidates_, current_, static_cast<std::uint32_t>(tasks_.size())});
  if (index != Strategy::kPrune) return index;
  tell_pruned();
  draining_ = true;
  outcome_.pruned = true;
  return 0;
}

Finding FiberController::deadlock() const {
  std::string what = "nothing can move:";
  bool for_notification = false;
  bool for_lock = false;
  for (const auto& task : tasks_) {
    if (task->has_ended) continue;
    what += ' ' + task_names_[task->number] + " waits to " + describe(task->op);
    what += ';';
    for_notification |= task->op.kind == OpKind::kWait;
    for_lock |= task->op.kind == OpKind::kLock || task->op.kind == OpKind::kReadLock;
  }
  what.pop_back();
  const bool lost = for_notification && !for_lock;
  return {lost ? Finding::Kind::kLostWakeup : Finding::Kind::kDeadlock, std::move(what), ""};
}

}  // namespace teeio::schedule
