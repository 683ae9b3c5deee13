// Who can move next, and what happens when nobody can.

#include <algorithm>

#include "schedule/fiber_controller_task.h"

namespace teeio::schedule {
namespace {

/// How often a task may busily retry while nothing else can move before that
/// counts as a deadlock: more than a courtesy yield, less than a wait.
constexpr std::uint32_t kLonelyRetries = 16;

bool is_last_but_one(const Candidate& move) {
  return move.op.kind == OpKind::kDecrement && move.count == 2;
}

}  // namespace

bool commute(const Candidate& a, const Candidate& b) {
  if (a.op.object == b.op.object && is_last_but_one(a) && is_last_but_one(b)) return false;
  return commute(a.op, b.op);
}

// Each task comes here at each point of others: without calls of its own.
[[gnu::always_inline]] inline Candidate::Gate FiberController::gate_of(
    const TaskRecord& task) const {
  using Gate = Candidate::Gate;
  if (task.op.kind == OpKind::kYield)
    return outcome_.points > task.parked_at_point || task.may_retry_alone ? Gate::kOpen
                                                                          : Gate::kShut;
  if (task.enabled == nullptr) return Gate::kNone;
  if (task.enabled(task.context)) return Gate::kOpen;
  return task.deadline_ns <= now_ns_ ? Gate::kTimedOut : Gate::kShut;
}

[[gnu::always_inline]] inline void FiberController::collect_candidate(const TaskRecord& task) {
  if (task.has_ended) return;
  const Candidate::Gate gate = gate_of(task);
  if (gate == Candidate::Gate::kShut) return;
  Candidate& candidate = candidates_.emplace_back(task.number, task.op, gate);
  candidate.expired = task.deadline_ns <= now_ns_;
  if (task.count != nullptr) judge_count(candidate, task);
}

bool FiberController::collect_candidates() {
  candidates_.clear();
  if (current_ != kNobody) collect_candidate(*tasks_[current_]);
  for (const auto& task : tasks_)
    if (task->number != current_) collect_candidate(*task);
  return !candidates_.empty();
}

void FiberController::note_count(const Candidate& move) {
  const OpKind kind = move.op.kind;
  if (kind == OpKind::kTestCount) return objects_[move.op.object].taken.clear();
  if (kind != OpKind::kIncrement && kind != OpKind::kDecrement) return;
  std::vector<std::uint32_t>& taken = objects_[move.op.object].taken;
  if (taken.size() <= move.task) taken.resize(move.task + 1, 0);
  std::uint32_t& own = taken[move.task];
  if (kind == OpKind::kIncrement)
    ++own;
  else if (own > 0)
    --own;
}

/// What gets and puts since the last kTestCount leave of the count in the order of them that
/// leaves least, each task's in its own order, is the count without what each has taken
/// and not given back. It is at least one, or the put that made it zero is a kTestCount: so
/// none of the others is ever the last one, and no get finds zero, in whichever order. A put
/// that gives back what its task has taken does not lower it.
void FiberController::judge_count(Candidate& candidate, const TaskRecord& task) const {
  std::uint32_t least = task.count(task.context);
  if (task.op.kind == OpKind::kIncrement) {
    if (least == 0) candidate.op.kind = OpKind::kTestCount;
    return;
  }
  const std::vector<std::uint32_t>& taken = objects_[task.op.object].taken;
  if (task.number < taken.size() && taken[task.number] > 0) return;
  for (const std::uint32_t by_one : taken) least -= std::min(least, by_one);
  candidate.count = least;
  if (least <= 1) candidate.op.kind = OpKind::kTestCount;
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
