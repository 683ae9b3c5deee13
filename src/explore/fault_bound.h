#pragma once

#include <cstdint>

#include "explore/strategy.h"

namespace teeio::explore {

/// Another strategy's schedules, with at most so many choices of a schedule
/// going to another than the ordinary alternative: from then on nothing is
/// asked. Whether a choice is asked is a function of those before it, and two
/// schedules that differ in moves that commute have the same choices: what a
/// reduction drops has its equal among what it keeps.
class FaultBound final : public Strategy {
 public:
  FaultBound(Strategy& inner, std::uint32_t most) : inner_(inner), most_(most) {}

  [[nodiscard]] bool begin() override {
    left_ = most_;
    return inner_.begin();
  }
  [[nodiscard]] std::uint32_t pick(const Moment& moment) override { return inner_.pick(moment); }
  [[nodiscard]] std::uint32_t choose(std::uint32_t count) override {
    if (left_ == 0) return 0;
    const std::uint32_t chosen = inner_.choose(count);
    if (chosen != 0) --left_;
    return chosen;
  }
  void stuck(std::span<const Candidate> waiting) override { inner_.stuck(waiting); }
  void pruned(std::span<const Candidate> waiting) override { inner_.pruned(waiting); }
  void told(std::uint64_t stories) override { inner_.told(stories); }
  void touched(Touch touch) override { inner_.touched(touch); }

 private:
  Strategy& inner_;
  const std::uint32_t most_;
  std::uint32_t left_ = 0;
};

}  // namespace teeio::explore
