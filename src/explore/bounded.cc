#include "explore/bounded.h"

#include "base/check.h"
#include "explore/finding.h"

namespace teeio::explore {

bool PreemptionBounded::advance(Node& node) const {
  if (node.chosen + 1 == node.count) return false;
  if (node.preempts && node.spent == bound_) return false;
  ++node.chosen;
  return true;
}

bool PreemptionBounded::begin() {
  depth_ = 0;
  spent_ = 0;
  if (!started_) return started_ = true;
  while (!path_.empty() && !advance(path_.back())) path_.pop_back();
  if (!path_.empty()) return true;
  return bound_++ < most_;
}

std::uint32_t PreemptionBounded::decide(std::uint32_t count, bool preempts) {
  if (depth_ == path_.size()) path_.push_back({0, count, preempts, spent_});
  const Node& node = path_[depth_++];
  TEEIO_CHECK(node.count == count && node.preempts == preempts, kVaries);
  if (node.preempts && node.chosen != 0) ++spent_;
  return node.chosen;
}

std::uint32_t PreemptionBounded::pick(const Moment& moment) {
  const auto count = static_cast<std::uint32_t>(moment.candidates.size());
  if (count == 1) return 0;
  return decide(count, moment.candidates[0].task == moment.last_task);
}

std::uint32_t PreemptionBounded::choose(std::uint32_t count) { return decide(count, false); }

}  // namespace teeio::explore
