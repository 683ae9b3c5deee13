#pragma once

#include <cstdint>

namespace teeio::schedule {

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): its
/// last steps, which mix a word, and the next of a sequence.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31U);
}
inline constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;
[[nodiscard]] constexpr std::uint64_t split_mix(std::uint64_t& state) {
  return mix(state += kGolden);
}

}  // namespace teeio::schedule
