// How much of the tree is behind, and its parts.

#include <bit>

#include "base/check.h"
#include "explore/dpor.h"

namespace teeio::explore {

double Dpor::share_done() const {
  double done = 0;
  double weight = 1;
  for (std::size_t i = floor_; i < path_.size(); ++i) {
    const Node& node = path_[i];
    const bool task = node.kind == Choice::Kind::kTask;
    const auto behind = task ? static_cast<double>(std::popcount(node.sleep)) : node.chosen;
    const double all =
        task ? behind + 1 + static_cast<double>(std::popcount(node.todo)) : node.count;
    done += weight * behind / all;
    weight /= all;
  }
  return done;
}

std::vector<Dpor::Deviation> Dpor::deviations() const {
  const auto& path = first_path_.empty() ? path_ : first_path_;
  const auto& pool = first_path_.empty() ? candidates_ : first_candidates_;
  std::vector<Deviation> parts;
  for (std::uint32_t depth = 0; depth < path.size(); ++depth) {
    const Node& node = path[depth];
    for (std::uint32_t i = 1; i < node.count; ++i)
      parts.push_back({depth, node.kind,
                       node.kind == Choice::Kind::kTask ? pool[node.candidates + i].task : i});
  }
  return parts;
}

void Dpor::keep_first_path() {
  if (!first_path_.empty()) return;
  first_path_ = path_;
  first_candidates_ = candidates_;
}

void Dpor::restrict_to(const Deviation& part) {
  keep_first_path();
  while (!path_.empty()) pop();
  TEEIO_CHECK(part.depth < first_path_.size(), "a part of the schedules that does not exist");
  path_.assign(first_path_.begin(), first_path_.begin() + part.depth + 1);
  candidates_ = first_candidates_;
  left_.assign(candidates_.size(), Footprints::kAnything);
  for (Node& node : path_) {
    node.todo = 0;
    node.sleep = 0;
    node.tried = 0;
    node.hints = HappensBefore::kNone;
    node.chosen = node.kind == Choice::Kind::kTask ? first_candidates_[node.candidates].task : 0;
  }
  Node& last = path_.back();
  last.chosen = part.value;
  if (last.kind == Choice::Kind::kTask) {
    candidates_.resize(last.candidates + last.count);
    left_.resize(candidates_.size());
    // Those before it in the order of deviations() are tried, elsewhere.
    for (const Candidate& c : candidates_of(last)) {
      if (c.task == part.value) break;
      last.sleep |= task_bit(c.task);
    }
  }
  floor_ = path_.size();
  restricted_ = true;
}

}  // namespace teeio::explore
