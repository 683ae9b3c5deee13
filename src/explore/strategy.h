#pragma once

#include "schedule/split_mix.h"
#include "schedule/strategy.h"

namespace teeio::explore {

using schedule::Candidate;
using schedule::Choice;
using schedule::Choices;
using schedule::Moment;
using schedule::Strategy;
using schedule::Touch;

/// The strategies' own randomness, by seed alone.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() { return schedule::split_mix(state_); }
  /// From 0 to below `count` >= 1; the bias of a 64-bit remainder is nothing here.
  std::uint32_t below(std::uint64_t count) { return static_cast<std::uint32_t>(next() % count); }

 private:
  std::uint64_t state_;
};

}  // namespace teeio::explore
