#pragma once

#include <cstdint>

namespace teeio::schedule {

/// What a move does to one element of the state that sections of a monitor guard.
struct Touch {
  enum class How : std::uint8_t {
    kRead,
    kUpdate,  ///< changes it so that the order of two changes cannot be told: a count, a set
    kWrite,
  };
  std::uint64_t element;
  How how;
  auto operator<=>(const Touch&) const = default;
};

/// Whether two tasks may touch one element so, one right after the other, in either order.
[[nodiscard]] constexpr bool commute(Touch::How a, Touch::How b) {
  return a == b && a != Touch::How::kWrite;
}

}  // namespace teeio::schedule
