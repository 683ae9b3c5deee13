#include "explore/pct.h"

#include <algorithm>

#include "explore/random_walk.h"

namespace teeio::explore {
namespace {
/// Priorities from here up are the tasks' own; below are those of changes.
constexpr std::uint64_t kFirstOwn = std::uint64_t{1} << 32U;
}  // namespace

Pct::Pct(std::uint64_t seed, std::uint32_t changes, std::uint64_t first, std::uint64_t stride)
    : seed_(seed), changes_(changes), stride_(stride), next_(first) {}

bool Pct::begin() {
  Random mix(seed_ ^ (next_ * 0xd1342543de82ef95ULL) ^ 0x9c7);
  random_ = Random(mix.next());
  next_ += stride_;
  longest_ = std::max(longest_, contested_);
  contested_ = 0;
  lowest_ = kFirstOwn;
  priorities_.clear();
  change_at_.clear();
  for (std::uint32_t i = 0; i < changes_; ++i) change_at_.push_back(random_.below(longest_));
  return true;
}

std::uint64_t Pct::priority(std::uint32_t task) {
  while (priorities_.size() <= task) priorities_.push_back(kFirstOwn + (random_.next() >> 1U));
  return priorities_[task];
}

std::uint32_t Pct::pick(const Moment& moment) {
  if (moment.candidates.size() == 1) return 0;
  std::uint32_t best = 0;
  for (std::uint32_t i = 1; i < moment.candidates.size(); ++i)
    if (priority(moment.candidates[i].task) > priority(moment.candidates[best].task)) best = i;
  // A busy retry lets the others go first, or it would retry for ever.
  const bool retries = moment.candidates[best].op.kind == schedule::OpKind::kYield;
  if (retries || std::ranges::find(change_at_, contested_) != change_at_.end())
    priorities_[moment.candidates[best].task] = --lowest_;
  ++contested_;
  return best;
}

std::uint32_t Pct::choose(std::uint32_t count) {
  if (random_.below(8) < kOrdinaryInEight) return 0;
  return 1 + random_.below(count - 1);
}

}  // namespace teeio::explore
