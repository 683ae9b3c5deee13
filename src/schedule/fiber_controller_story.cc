#include <algorithm>

#include "schedule/fiber_controller.h"
#include "schedule/races.h"

namespace teeio::schedule {

// What is told after a section is as far from it as after the unlock of a mutex: others may
// move, and tell, in between.
void FiberController::told(std::uint64_t stories) {
  const Unwatched unwatched;
  if (after_section_ && !in_section()) point({OpKind::kTell, 0}, nullptr, nullptr);
  const OutsideRunHeap outside;
  if (!draining_ && !alone_) strategy_.told(stories);
}

void FiberController::touched(Touch touch) {
  const OutsideRunHeap outside;
  const Unwatched unwatched;
  touches_.push_back(touch);
  if (!draining_ && !alone_) strategy_.touched(touch);
}

std::vector<Touch> FiberController::touches() const {
  const OutsideRunHeap outside;
  const Unwatched unwatched;
  return touches_;
}

std::string FiberController::story() const {
  std::size_t widest = 0;
  for (const std::string& name : task_names_) widest = std::max(widest, name.size());
  std::string text;
  std::uint32_t last = kNobody;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    std::string number = std::to_string(i + 1);
    text += std::string(number.size() < 4 ? 4 - number.size() : 0, ' ') + number;
    text += step.task == last ? "   " : " * ";
    std::string name = task_names_[step.task];
    name.resize(widest + 2, ' ');
    text += name + describe(step.op) + '\n';
    last = step.task;
  }
  return text;
}

std::string FiberController::describe(Op op) const {
  std::string text(op_name(op.kind));
  if (op.kind == OpKind::kJoin) return text + ' ' + task_names_[op.object];
  if (op.object == 0) return text;
  return text + ' ' + std::string(objects_[op.object].name) + " #" + std::to_string(op.object);
}

}  // namespace teeio::schedule
