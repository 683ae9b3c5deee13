#pragma once

#include "schedule/strategy.h"

namespace teeio::explore {

using schedule::Candidate;
using schedule::Choice;
using schedule::Choices;
using schedule::Moment;
using schedule::Strategy;
using schedule::Touch;

/// SplitMix64: the strategies' own randomness, by seed alone.
/// Source: S. Vigna, "splitmix64.c", public domain algorithm.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
  }
  /// From 0 to below `count` >= 1; the bias of a 64-bit remainder is nothing here.
  std::uint32_t below(std::uint64_t count) { return static_cast<std::uint32_t>(next() % count); }

 private:
  std::uint64_t state_;
};

}  // namespace teeio::explore
