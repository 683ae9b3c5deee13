#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "object/event.h"

namespace teeio::report {

/// Where the lifelines of a chart in text stand, and the lines that name them.
///
/// wide(): all lanes, a line of names, each lifeline below the middle of its name.
/// narrow(): the lanes that occur, three columns apart, their names on as many
/// lines as they need, each above its lifeline.
class LaneColumns {
 public:
  using Present = std::array<bool, object::kLaneCount>;

  static LaneColumns wide();
  static LaneColumns narrow(const Present& present);

  [[nodiscard]] const std::vector<std::string>& header() const { return header_; }
  [[nodiscard]] std::size_t of(object::Lane lane) const {
    return at_[static_cast<std::size_t>(lane)];
  }
  [[nodiscard]] std::size_t width() const { return width_; }  ///< with the numbers in front
  [[nodiscard]] std::string lifelines() const;

  static constexpr std::size_t kNumberWidth = 6;  ///< "1234. "

 private:
  void place_names();

  Present present_{};
  std::array<std::size_t, object::kLaneCount> at_{};
  std::size_t width_ = 0;
  std::vector<std::string> header_;
};

}  // namespace teeio::report
