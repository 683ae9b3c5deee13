// Who can move next, and what happens when nobody can.

#include <algorithm>

#include "schedule/fiber_controller_task.h"

namespace teeio::schedule {
namespace {

/// How often a task may busily retry while nothing else can move before that
/// counts as a deadlock: more than a courtesy yield, less than a wait.
constexpr std::uint32_t kLonelyRetries = 16;

}  // namespace

Candidate::Gate FiberController::gate_of(const TaskRecord& task) const {
  using Gate = Candidate::Gate;
  if (task.op.kind == OpKind::kYield)
    return outcome_.points > task.parked_at_point || task.may_retry_alone ? Gate::kOpen
                                                                          : Gate::kShut;
  if (task.enabled == nullptr) return Gate::kNone;
  if (task.enabled(task.context)) return Gate::kOpen;
  return task.deadline_ns <= now_ns_ ? Gate::kTimedOut : Gate::kShut;
}

bool FiberController::collect_candidates() {
  candidates_.clear();
  for (const auto& task : tasks_) {
    if (task->has_ended) continue;
    const Candidate::Gate gate = gate_of(*task);
    if (gate == Candidate::Gate::kShut) continue;
    Candidate& candidate = candidates_.emplace_back(task->number, task->op, gate);
    candidate.expired = task->deadline_ns <= now_ns_;
    if (task->count != nullptr) {
      candidate.count = least_count(*task);
      // Two decrements commute only if not even both together reach zero.
      if (candidate.count <= 2) candidate.op.kind = OpKind::kTestCount;
    }
    if (task->number == current_)
      std::rotate(candidates_.begin(), candidates_.end() - 1, candidates_.end());
  }
  return !candidates_.empty();
}

void FiberController::note_count(const Candidate& move) {
  const OpKind kind = move.op.kind;
  if (kind == OpKind::kTestCount) return objects_[move.op.object].late_gets.clear();
  if (kind != OpKind::kIncrement && kind != OpKind::kDecrement) return;
  std::vector<std::uint32_t>& gets = objects_[move.op.object].late_gets;
  if (gets.size() <= move.task) gets.resize(move.task + 1, 0);
  std::uint32_t& own = gets[move.task];
  if (kind == OpKind::kIncrement)
    ++own;
  else if (own > 0)
    --own;
}

/// What a put would find if the gets of others that need not come before it came
/// after it: whether two moves commute must hold wherever they are neighbours.
std::uint32_t FiberController::least_count(const TaskRecord& task) const {
  const std::vector<std::uint32_t>& gets = objects_[task.op.object].late_gets;
  std::uint32_t count = task.count(task.context);
  for (std::uint32_t other = 0; other < gets.size(); ++other)
    if (other != task.number) count -= std::min(count, gets[other]);
  return count;
}

void FiberController::tell_stuck() {
  if (draining_ || alone_) return;
  collect_waiting(candidates_);
  if (!candidates_.empty()) strategy_.stuck(candidates_);
}

void FiberController::tell_pruned() {
  std::vector<Candidate> waiting;
  collect_waiting(waiting);
  if (!waiting.empty()) strategy_.pruned(waiting);
}

void FiberController::collect_waiting(std::vector<Candidate>& out) const {
  using Gate = Candidate::Gate;
  for (const auto& task : tasks_)
    if (!task->has_ended && gate_of(*task) == Gate::kShut)
      out.push_back({.task = task->number, .op = task->op, .gate = Gate::kShut});
}

bool FiberController::pass_time() {
  std::uint64_t earliest = kNever;
  for (const auto& task : tasks_)
    if (!task->has_ended) earliest = std::min(earliest, task->deadline_ns);
  if (earliest == kNever) return false;
  now_ns_ = earliest;
  return true;
}

bool FiberController::retry_alone() {
  bool any = false;
  for (const auto& task : tasks_) {
    if (task->has_ended || task->op.kind != OpKind::kYield) continue;
    if (++task->lonely_retries > kLonelyRetries) continue;
    any = task->may_retry_alone = true;
  }
  return any;
}

}  // namespace teeio::schedule
