#include "explore/random_walk.h"

namespace teeio::explore {

RandomWalk::RandomWalk(std::uint64_t seed, std::uint64_t first, std::uint64_t stride)
    : seed_(seed), stride_(stride), next_(first) {}

bool RandomWalk::begin() {
  Random mix(seed_ ^ (next_ * 0xd1342543de82ef95ULL));
  random_ = Random(mix.next());
  next_ += stride_;
  return true;
}

std::uint32_t RandomWalk::pick(const Moment& moment) {
  if (moment.candidates.size() == 1) return 0;
  return random_.below(moment.candidates.size());
}

std::uint32_t RandomWalk::choose(std::uint32_t count) {
  if (random_.below(8) < kOrdinaryInEight) return 0;
  return 1 + random_.below(count - 1);
}

}  // namespace teeio::explore
