#include "explore/depth_first.h"

#include <bit>

#include "base/check.h"
#include "explore/finding.h"

namespace teeio::explore {
namespace {

std::uint64_t bit(std::uint32_t task) { return std::uint64_t{1} << task; }

std::uint64_t tasks_of(const Moment& moment) {
  std::uint64_t mask = 0;
  for (const Candidate& c : moment.candidates) {
    TEEIO_CHECK(c.task < DepthFirst::kMaxTasks, "more tasks than a depth-first search can hold");
    mask |= bit(c.task);
  }
  return mask;
}

std::uint32_t first_awake(const Moment& moment, std::uint64_t sleep) {
  for (const Candidate& c : moment.candidates)
    if ((sleep & bit(c.task)) == 0) return c.task;
  return Strategy::kPrune;
}

std::uint32_t index_of(const Moment& moment, std::uint32_t task) {
  std::uint32_t i = 0;
  while (moment.candidates[i].task != task) ++i;
  return i;
}

/// Those of `asleep` that `move` does not wake.
std::uint64_t still_asleep(const Moment& moment, std::uint64_t asleep, const Candidate& move) {
  std::uint64_t still = 0;
  for (const Candidate& c : moment.candidates)
    if ((asleep & bit(c.task)) != 0 && commute(c, move)) still |= bit(c.task);
  return still;
}

}  // namespace

void DepthFirst::settle() {
  const Footprints::Number left = footprints_.number_of(touched_);
  touched_.clear();
  if (left == Footprints::kNothing || last_ == 0) return;
  Node& node = path_[last_ - 1];
  Footprints::Number& known = node.left[node.chosen];
  known = footprints_.both(known, left);
  for (const auto& [task, theirs] : sleep_left_)
    if (footprints_.conflict(theirs, left)) sleep_ &= ~bit(task);
}

bool DepthFirst::begin() {
  settle();
  last_ = 0;
  sleep_left_.clear();
  depth_ = 0;
  sleep_ = 0;
  if (!started_) return started_ = true;
  while (!path_.empty() && !advance(path_.back())) path_.pop_back();
  return !path_.empty();
}

bool DepthFirst::advance(Node& node) {
  if (node.kind == Choice::Kind::kAlternative) return ++node.chosen < node.open;
  node.done |= bit(node.chosen);
  const std::uint64_t left = node.open & ~node.done & ~node.sleep;
  if (left == 0) return false;
  node.chosen = static_cast<std::uint32_t>(std::countr_zero(left));
  return true;
}

DepthFirst::Node& DepthFirst::node_at_depth(Choice::Kind kind, std::uint64_t open) {
  if (depth_ == path_.size())
    path_.push_back({kind, 0, open, 0, sleep_,
                     kind == Choice::Kind::kTask ? sleep_left_ : decltype(sleep_left_){}});
  Node& node = path_[depth_++];
  TEEIO_CHECK(node.kind == kind && node.open == open, kVaries);
  return node;
}

std::uint32_t DepthFirst::pick(const Moment& moment) {
  settle();
  const std::uint64_t open = tasks_of(moment);
  if (depth_ == path_.size()) {
    const std::uint32_t first = first_awake(moment, sleep_);
    if (first == kPrune) return kPrune;
    node_at_depth(Choice::Kind::kTask, open).chosen = first;
    --depth_;
  }
  const Node& node = node_at_depth(Choice::Kind::kTask, open);
  const std::uint32_t index = index_of(moment, node.chosen);
  last_ = depth_;
  sleep_left_ = node.left;
  if (reduction_ == Reduction::kSleepSets)
    sleep_ = still_asleep(moment, (node.sleep | node.done) & ~bit(node.chosen),
                          moment.candidates[index]);
  return index;
}

std::uint32_t DepthFirst::choose(std::uint32_t count) {
  return node_at_depth(Choice::Kind::kAlternative, count).chosen;
}

}  // namespace teeio::explore
