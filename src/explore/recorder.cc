#include "explore/recorder.h"

#include <algorithm>

namespace teeio::explore {

bool Recorder::begin() {
  turns_.clear();
  alternatives_.clear();
  preemptions_ = 0;
  failures_ = 0;
  return inner_.begin();
}

std::uint32_t Recorder::pick(const Moment& moment) {
  const std::uint32_t index = inner_.pick(moment);
  if (index == kPrune) return index;
  const std::uint32_t task = moment.candidates[index].task;
  if (turns_.empty() || turns_.back().task != task) {
    turns_.push_back({task, 0});
    if (index != 0 && moment.candidates[0].task == moment.last_task) ++preemptions_;
  }
  ++turns_.back().moves;
  return index;
}

std::uint32_t Recorder::choose(std::uint32_t count) {
  const std::uint32_t chosen = inner_.choose(count);
  alternatives_.push_back(chosen);
  if (chosen != 0) ++failures_;
  return chosen;
}

bool Guided::begin() {
  turn_ = 0;
  moved_ = 0;
  alternative_ = 0;
  return !std::exchange(started_, true);
}

std::uint32_t Guided::pick(const Moment& moment) {
  for (; turn_ < turns_.size(); ++turn_, moved_ = 0) {
    if (moved_ == turns_[turn_].moves) continue;
    const auto at = std::ranges::find(moment.candidates, turns_[turn_].task, &Candidate::task);
    if (at == moment.candidates.end()) continue;
    ++moved_;
    return static_cast<std::uint32_t>(at - moment.candidates.begin());
  }
  return 0;
}

std::uint32_t Guided::choose(std::uint32_t count) {
  if (alternative_ == alternatives_.size()) return 0;
  return std::min(alternatives_[alternative_++], count - 1);
}

}  // namespace teeio::explore
